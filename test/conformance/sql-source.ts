import type { Marker } from '../../model/marker.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';
import { type ConformanceSource, notShown } from './index.ts';

/** A database server that sources are made on. */
export interface SqlServer {
  readonly proxy: TcpProxy;
  /** Makes an empty schema or database, and says how the connector gets there. */
  newPlace(): Promise<SqlPlace>;
}

export interface SqlPlace {
  /** `settings` of the integration. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly password: string;
  /** Put before the name of a table: `kit_1.`. */
  readonly schema: string;
  readonly types: { readonly text: string; readonly instant: string; readonly list?: string };
  /** Writes as an application that is signed in past the connector: all of these statements or none, with `?` for values. */
  write(...statements: readonly (readonly [text: string, ...values: readonly (string | null)[]])[]): Promise<void>;
  changePassword(): Promise<void>;
  /** Takes the right to read a table away from the connector's account. */
  revoke(table: string): Promise<void>;
  dispose(): Promise<void>;
}

/** How deltas find what changed: blocks of the streams' settings. */
export interface Following {
  /** `changes` and `deletions` of users. */
  readonly users: Readonly<Record<string, unknown>>;
  /** The same of groups. */
  readonly groups: Readonly<Record<string, unknown>>;
  /** `changes` of the members. */
  readonly members: Readonly<Record<string, unknown>>;
  /** Whether users are marked as deleted instead of being removed. */
  readonly keepsRows?: boolean;
}

/**
 * People and groups as an application keeps them that does for deltas whatever one could ask for: versions in the order of commits, times of
 * change, a table of changes and tables of what was removed. `following` chooses what of that the connector uses.
 */
export async function sqlSource(server: SqlServer, following: (place: SqlPlace) => Following): Promise<ConformanceSource> {
  const place = await server.newPlace();
  const { schema, types, write } = place;
  const { users, groups, members, keepsRows = false } = following(place);
  const list = types.list;
  const columns = `name ${types.text}, note ${types.text}, dept ${types.text}, v bigint, changed_at ${types.instant}, deleted_at ${types.instant}`;
  await write(
    [`create table ${schema}counter (n bigint)`],
    [`insert into ${schema}counter values (0)`],
    [`create table ${schema}person (id bigint primary key, ${columns}${list === undefined ? '' : `, emails ${list}`})`],
    [`create table ${schema}grp (id bigint primary key, ${columns})`],
    [`create table ${schema}grp_member (group_id bigint, person_id bigint, primary key (group_id, person_id))`],
    ...['person_deleted', 'grp_log'].map(
      (table) => [`create table ${schema}${table} (id bigint, v bigint, changed_at ${types.instant})`] as const,
    ),
  );
  const next = `(select n from ${schema}counter)`;
  // Whoever commits later has the higher number, because the counter's row is locked until then.
  const draw = [`update ${schema}counter set n = n + 1`] as const;
  const stamp = `v = ${next}, changed_at = current_timestamp`;
  const log = (table: string, id: string) =>
    [`insert into ${schema}${table} (id, v, changed_at) values (?, ${next}, current_timestamp)`, id] as const;
  let last = 0;
  const people = new Map<string, string>();
  const keyOf = (group: string): string => group.replace(/^group\//, '');
  const insert = (table: string, id: string, name: string, text: string) =>
    [
      `insert into ${schema}${table} (id, name, note, dept, v, changed_at) values (?, ?, ?, 'in', ${next}, current_timestamp)`,
      id,
      name,
      text,
    ] as const;
  const set = (id: string, column: string, value: string | null) =>
    write(draw, [`update ${schema}person set ${column} = ?, ${stamp} where id = ?`, value, id]);

  async function remove(id: string): Promise<void> {
    await write(
      draw,
      [
        `insert into ${schema}grp_log (id, v, changed_at) select group_id, ${next}, current_timestamp from ${schema}grp_member where person_id = ?`,
        id,
      ],
      [`delete from ${schema}grp_member where person_id = ?`, id],
      keepsRows
        ? [`update ${schema}person set deleted_at = current_timestamp, ${stamp} where id = ?`, id]
        : [`delete from ${schema}person where id = ?`, id],
      log('person_deleted', id),
    );
  }

  return {
    settings: place.settings,
    streams: {
      users: {
        table: `${schema}person`,
        where: "dept = 'in'",
        key: 'id',
        lookupKey: 'name',
        columns: list === undefined ? [] : ['emails'],
        ...users,
      },
      groups: {
        table: `${schema}grp`,
        key: ['id'],
        idPrefix: 'group/',
        lookupKey: 'name',
        columns: ['note'],
        ...groups,
        links: { member: { table: `${schema}grp_member`, from: 'group_id', to: 'person_id', idPrefix: '', changes: members } },
      },
    },
    secret: () => Promise.resolve(place.password),
    stream: 'users',
    textAttribute: 'note',
    async create({ name, text }) {
      const id = String(++last);
      await write(draw, insert('person', id, name, text));
      people.set(id, name);
      return id;
    },
    change: (id, text) => set(id, 'note', text),
    delete: remove,
    rename: (id, name) => set(id, 'name', name),
    leaveScope: (id) => set(id, 'dept', 'out'),
    returnToScope: (id) => set(id, 'dept', 'in'),
    restore: (id) =>
      keepsRows
        ? write(draw, [`update ${schema}person set deleted_at = null, dept = 'in', ${stamp} where id = ?`, id])
        : write(draw, insert('person', id, people.get(id) ?? '', 'Restored')),
    setValues:
      list === undefined
        ? notShown('the database has no columns with many values')
        : async (id, count) => {
            const values = Array.from({ length: count }, (_, index) => `person${index}@corp.example`);
            await set(id, 'emails', `{${values.join(',')}}`);
            return { attribute: 'emails', values };
          },
    groups: {
      stream: 'groups',
      link: 'member',
      async create({ name, members: ids }) {
        const id = String(++last);
        await write(
          draw,
          insert('grp', id, name, ''),
          ...ids.map((member) => [`insert into ${schema}grp_member values (?, ?)`, id, member] as const),
          log('grp_log', id),
        );
        return `group/${id}`;
      },
      change: (group, text) =>
        write(draw, [`update ${schema}grp set note = ?, ${stamp} where id = ?`, text, keyOf(group)], log('grp_log', keyOf(group))),
      delete: (group) =>
        write(
          draw,
          [`delete from ${schema}grp_member where group_id = ?`, keyOf(group)],
          [`delete from ${schema}grp where id = ?`, keyOf(group)],
          log('grp_log', keyOf(group)),
        ),
      addMember: (group, member) =>
        write(
          draw,
          [`delete from ${schema}grp_member where group_id = ? and person_id = ?`, keyOf(group), member],
          [`insert into ${schema}grp_member values (?, ?)`, keyOf(group), member],
          log('grp_log', keyOf(group)),
        ),
      removeMember: (group, member) =>
        write(
          draw,
          [`delete from ${schema}grp_member where group_id = ? and person_id = ?`, keyOf(group), member],
          log('grp_log', keyOf(group)),
        ),
    },
    repeat: notShown('a key that two rows have is refused, as the tests of the connector show'),
    emptyPage: notShown('a page begins behind the last row of the one before, and is empty only at the end'),
    beforeRequest: (handler) => {
      server.proxy.beforeRequest = handler;
    },
    cut: async () => server.proxy.cut(),
    limitRate: notShown('a busy database refuses new connections, as the tests of the connector show, and not statements of open ones'),
    expireSignIn: place.changePassword,
    loseRights: () => place.revoke('person'),
    expired: (marker) => ({ ...marker, takenAt: '2020-01-01T00:00:00Z' }),
    ahead,
    strangerId: notShown('a table that can be read shows every row, so what is not there is known to be gone'),
    async [Symbol.asyncDispose]() {
      server.proxy.beforeRequest = undefined;
      await place.dispose();
    },
  };
}

/** The marker with all its places further on: numbers by a million, times by a year. */
function ahead(marker: Marker): Marker {
  const places = JSON.parse(marker.position) as Record<string, { readonly at: string }>;
  const moved = (at: string): string =>
    /^\d+$/.test(at) ? String(BigInt(at) + 1_000_000n) : `${Number(at.slice(0, 4)) + 1}${at.slice(4)}`;
  const position = Object.fromEntries(Object.entries(places).map(([name, place]) => [name, { ...place, at: moved(place.at) }]));
  return { ...marker, position: JSON.stringify(position) };
}
