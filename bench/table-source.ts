import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { startPostgres } from '../workers/embedded/postgres.ts';
import {
  type Changes,
  columns,
  comparedAttributes,
  csvOf,
  discarded,
  mapping,
  nowhere,
  type PeopleSource,
  type Person,
  rosterOf,
  summaryOfPeople,
} from './people.ts';

const [key, ...others] = columns;

/** Row versions tell deltas what changed; a trigger notes who left. */
const tables = `
  create table person (${key} text primary key, ${others.map((name) => `${name} text`).join(', ')});
  create table person_removed (${key} text not null);
  create function note_removed() returns trigger language plpgsql as $$ begin insert into person_removed values (old.${key}); return old; end $$;
  create trigger removed after delete on person for each row execute function note_removed();`;

const names = columns.join(', ');

/** A table of this many people on a PostgreSQL server of its own, whose processor time is the source's. */
export async function startTableSource(undo: AsyncDisposableStack, users: number): Promise<PeopleSource> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-table-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  const silent = { debug: () => undefined, info: () => undefined, warn: (message: string) => console.error(message) };
  const server = await startPostgres({ dataDir: join(directory, 'postgres'), log: silent });
  undo.defer(() => server.stop());
  const url = new URL(server.url);
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  undo.defer(() => client.end());
  const roster = rosterOf(users);
  await client.query(tables);
  const insert = (people: Iterable<Person>) =>
    pipeline(Readable.from(csvOf(people)), client.query(copyFrom(`copy person (${names}) from stdin with (format csv, header)`)));
  await insert(roster.everybody());
  await client.query('vacuum analyze person');
  const apply = async ({ edited, hired, left }: Changes): Promise<void> => {
    await client.query('begin');
    const titles = edited.map((person) => person[columns.indexOf('title')]);
    await client.query(
      `update person p set title = c.title from unnest($1::text[], $2::text[]) as c (number, title) where p.${key} = c.number`,
      [edited.map(([number]) => number), titles],
    );
    await client.query(`delete from person where ${key} = any($1)`, [left]);
    await insert(hired);
    await client.query('commit');
  };
  const { rows } = await client.query<{ server_version: string }>('show server_version');
  return {
    name: 'table',
    version: `PostgreSQL ${rows[0]?.server_version ?? ''}`,
    users,
    password: decodeURIComponent(url.password),
    integration: (passwordFile) => ({
      connector: 'sql',
      settings: {
        url: `postgres://${url.host}${url.pathname}`,
        user: url.username,
        password: { file: passwordFile },
        allowPlaintext: true,
      },
      streams: {
        users: {
          table: 'person',
          key,
          lookupKey: 'uid',
          changes: { by: 'xmin' },
          deletions: { table: 'person_removed', by: 'xmin' },
          references: { manager: { columns: 'manager' } },
          mapping,
        },
      },
    }),
    readings: [
      { name: 'select by a cursor, discarded', read: () => discarded(selected(server.url, `select ${names} from person`)) },
      {
        name: 'COPY to stdout, discarded',
        read: () => pipeline(client.query(copyTo(`copy person (${names}) to stdout`)), nowhere()),
      },
    ],
    async finding() {
      const before = (await client.query<{ at: string }>('select pg_snapshot_xmin(pg_current_snapshot())::text as at')).rows[0]?.at ?? '';
      return {
        name: 'finding the changes alone',
        async read() {
          for (const [table, list] of [
            ['person', names],
            ['person_removed', key],
          ] as const)
            await discarded(selected(server.url, `select ${list} from ${table} where xmin::text::bigint >= ${before}`));
        },
      };
    },
    edit: (from, count, what) => apply(roster.edit(from, count, what)),
    change: (count, round, from) => apply(roster.change(count, round, from)),
    addMember: undefined,
    compared: { users: comparedAttributes },
    linkKinds: ['manager'],
    people: () => selected(server.url, `select ${names} from person`),
    summarize: () => summaryOfPeople(selected(server.url, `select ${names} from person`)),
  };
}

/** Rows as texts, a thousand at a time, on a connection of its own. */
async function* selected(url: string, statement: string): AsyncGenerator<Person> {
  const client = new pg.Client({ connectionString: url, types: { getTypeParser: () => (text: unknown) => text } });
  await client.connect();
  try {
    await client.query(`begin read only; declare rows no scroll cursor for ${statement}`);
    for (;;) {
      const { rows } = await client.query<(string | null)[]>({ text: 'fetch 1000 from rows', rowMode: 'array' });
      for (const row of rows) yield row.map((cell) => cell ?? '');
      if (rows.length === 0) return;
    }
  } finally {
    await client.end();
  }
}
