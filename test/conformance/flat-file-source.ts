import { randomUUID } from 'node:crypto';
import { flatFile } from '../../connectors/flat-file/index.ts';
import { type Ability, type ConformanceHarness, type ConformanceSource, notShown } from './index.ts';

/** Where files can be put for the connector to read. */
export interface FileStore {
  /** Puts a file in the place of the one that has its name, whole from one moment to the next. */
  put(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
}

/** An empty folder of its own for one check, and what can be done to the connector's way to it. */
export interface FileStoreForCheck extends FileStore, Partial<AsyncDisposable> {
  /** `settings` of the integration. */
  readonly settings: unknown;
  readonly secret?: ConformanceSource['secret'];
  readonly beforeRequest: ConformanceSource['beforeRequest'];
  readonly cut: ConformanceSource['cut'];
  readonly expireSignIn: ConformanceSource['expireSignIn'];
}

interface Person {
  readonly name: string;
  readonly text: string | null;
  readonly phones: readonly string[];
}

interface Group {
  readonly name: string;
  readonly text: string;
  readonly members: ReadonlySet<string>;
}

/** What happened to one object; the whole of it where it is still there. */
type Written = (file: 'users' | 'groups', id: string, row: readonly string[] | undefined) => Promise<void>;

/** Snapshots of everybody, written anew after each change. */
export function snapshotHarness(newStore: () => Promise<FileStoreForCheck>): ConformanceHarness {
  return {
    connector: flatFile,
    pageSize: 4,
    async newSource() {
      const store = await newStore();
      const tables = { users: new Map<string, readonly string[]>(), groups: new Map<string, readonly string[]>() };
      const write = (file: 'users' | 'groups') => store.put(`${file}.csv`, csv([headers[file], ...tables[file].values()]));
      for (const file of ['users', 'groups'] as const) await write(file);
      return source(store, { files: (file) => ({ files: [`${file}*.csv`] }) }, async (file, id, row) => {
        if (row === undefined) tables[file].delete(id);
        else tables[file].set(id, row);
        await write(file);
      });
    },
  };
}

const headers = { users: ['id', 'name', 'text', 'phones'], groups: ['id', 'name', 'text', 'members'] } as const;

function csv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')}\n`).join('');
}

interface Blocks {
  /** The part of a stream's block that says which files it is read from. */
  readonly files: (file: 'users' | 'groups') => object;
}

async function source(store: FileStoreForCheck, blocks: Blocks, written: Written): Promise<ConformanceSource> {
  const people = new Map<string, Person>();
  const deleted = new Map<string, Person>();
  const groups = new Map<string, Group>();
  const writePerson = (id: string): Promise<void> => {
    const person = people.get(id);
    return written('users', id, person && [id, person.name, person.text ?? '', person.phones.join(';')]);
  };
  const writeGroup = (id: string): Promise<void> => {
    const group = groups.get(id);
    return written('groups', id, group && [id, group.name, group.text, [...group.members].join(';')]);
  };
  const edit = async (id: string, change: Partial<Person>): Promise<void> => {
    people.set(id, { ...(people.get(id) as Person), ...change });
    await writePerson(id);
  };
  const editGroup = async (id: string, change: Partial<Group>): Promise<void> => {
    groups.set(id, { ...(groups.get(id) as Group), ...change });
    await writeGroup(id);
  };
  const noScope = notShown('a file has everybody: who is in scope is for include to say');
  const proof = { settle: '0ms', maxShrinkPercent: 100 };
  const common = { key: 'id', lookup: 'name', attributes: ['name', 'text'], proof };
  return {
    settings: store.settings,
    streams: {
      users: { ...common, ...blocks.files('users'), attributes: ['name', 'text', 'phones'], types: { phones: 'list' } },
      groups: { ...common, ...blocks.files('groups'), links: { member: { column: 'members', separator: ';' } } },
    },
    secret: store.secret ?? (() => Promise.reject(new Error('there is no secret'))),
    stream: 'users',
    textAttribute: 'text',
    async create({ name, text }) {
      const id = randomUUID();
      people.set(id, { name, text, phones: [] });
      await writePerson(id);
      return id;
    },
    change: (id, text) => edit(id, { text }),
    async delete(id) {
      const person = people.get(id);
      if (person !== undefined) deleted.set(id, person);
      people.delete(id);
      await writePerson(id);
    },
    rename: (id, name) => edit(id, { name }),
    leaveScope: noScope,
    returnToScope: noScope,
    async restore(id) {
      people.set(id, deleted.get(id) as Person);
      await writePerson(id);
    },
    async setValues(id, count) {
      const values = Array.from({ length: count }, (_, index) => `+49 ${index}`);
      await edit(id, { phones: values });
      return { attribute: 'phones', values };
    },
    groups: {
      stream: 'groups',
      link: 'member',
      async create({ name, members }) {
        const id = randomUUID();
        groups.set(id, { name, text: '', members: new Set(members) });
        await writeGroup(id);
        return id;
      },
      change: (id, text) => editGroup(id, { text }),
      async delete(id) {
        groups.delete(id);
        await writeGroup(id);
      },
      addMember: (id, member) => editGroup(id, { members: new Set(groups.get(id)?.members).add(member) }),
      async removeMember(id, member) {
        const members = new Set(groups.get(id)?.members);
        members.delete(member);
        await editGroup(id, { members });
      },
    },
    repeat: notShown('a key that stands twice in a file is refused'),
    emptyPage: notShown('a file has no pages'),
    beforeRequest: store.beforeRequest,
    cut: store.cut,
    limitRate: notShown('nothing that holds files asks to be left alone in a way that these tests could bring about'),
    expireSignIn: store.expireSignIn,
    loseRights: notShown('a file can be read whole or not at all'),
    expired: notShown('a snapshot can be compared with one of any age'),
    ahead: notShown('there is no order among snapshots'),
    strangerId: notShown('a file that is whole names everybody: whom it does not name is not there'),
    [Symbol.asyncDispose]: async () => store[Symbol.asyncDispose]?.(),
  };
}

/** What a place without connections can't be made to do. */
export const noConnection: Ability<never> = notShown('a local folder has no connection and no sign-in');

/** Changes from one base file to the next, and how long change files stay after a base took their place. */
const rebaseEvery = 20;
const keep = 40;

/** One change file for each change, and from time to time a new base file. */
export function changesHarness(newStore: () => Promise<FileStoreForCheck>): ConformanceHarness {
  return {
    connector: flatFile,
    pageSize: 4,
    async newSource() {
      const store = await newStore();
      const tables = { users: new Map<string, readonly string[]>(), groups: new Map<string, readonly string[]>() };
      const numbers = { users: 0, groups: 0 };
      const writeBase = (file: 'users' | 'groups') =>
        store.put(`${file}-base-${numbers[file]}.csv`, csv([headers[file], ...tables[file].values()]));
      for (const file of ['users', 'groups'] as const) await writeBase(file);
      const files = (file: 'users' | 'groups') => ({
        files: [`${file}-base-*.csv`],
        changes: { files: `${file}-changes-*.csv`, operation: 'op', insert: ['PUT'], update: ['PUT'], delete: ['DEL'] },
      });
      return source(store, { files }, async (file, id, row) => {
        numbers[file] += 1;
        const number = numbers[file];
        if (row === undefined) tables[file].delete(id);
        else tables[file].set(id, row);
        const change = row === undefined ? ['DEL', id, ...headers[file].slice(1).map(() => '')] : ['PUT', ...row];
        await store.put(`${file}-changes-${number}.csv`, csv([['op', ...headers[file]], change]));
        if (number % rebaseEvery === 0) await writeBase(file);
        if (number > keep) await store.remove(`${file}-changes-${number - keep}.csv`);
      });
    },
  };
}
