import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Connector } from '../../../connectors/connector.ts';
import { flatFile } from '../../../connectors/flat-file/index.ts';
import { sourceHash } from '../../../model/canonical.ts';
import type { RequestedMode, RunSummary } from '../../../model/run.ts';
import { type Ending, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

let tidemark: TestTidemark;
let folder: string;
let id: string;
let count = 0;
/** Ids that sessions were asked for one by one, what is done when a delta begins to read, and what the stream declares as volatile. */
let asked: string[] = [];
let beforeReading = async (): Promise<void> => undefined;
let volatile: readonly string[] = [];
const undo = new AsyncDisposableStack();

const watched: Connector = {
  ...(flatFile as Connector),
  streams: (...of) => (flatFile as Connector).streams(...of).map((stream) => ({ ...stream, volatile })),
  async open(options) {
    const session = await (flatFile as Connector).open(options);
    return {
      ...session,
      async *readChanges(...of) {
        await beforeReading();
        return yield* session.readChanges(...of);
      },
      readByIds(stream, ids) {
        asked.push(...ids);
        return session.readByIds(stream, ids);
      },
    };
  },
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-records-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  tidemark = undo.use(await startTidemark([watched]));
}, 300_000);
afterAll(() => undo.disposeAsync());

/** Each test has an integration of its own, which has read the same five people. */
beforeEach(async () => {
  count += 1;
  id = tidemark.temporal.integrationId(`records-${count}`);
  asked = [];
  beforeReading = async () => undefined;
  volatile = [];
  await configure();
  await deliver(people);
  expect((await sync('complete')).streams.users).toMatchObject({ created: 5 });
});

const people: readonly string[] = ['1,Ann,1,', '2,Bob,2,1', '3,"Cy, Jr",3,1', '4,Dee,4,2', '5,Eve,5,2'];

function configure(
  block = '',
  mapping = 'displayName: source.name, level: source.level',
  links = '{ manager: { column: boss } }',
): Promise<void> {
  return tidemark.apply(`
integrations:
  ${id}:
    connector: flat-file
    settings: { folder: '${folder}' }
    streams:
      users:
        files: ['${id}.csv']
        key: id
        links: ${links}
        mapping: { ${mapping} }
        proof: { settle: 0ms, maxShrinkPercent: 100 }
        ${block}
    steps: { query: { pageSize: 10 }, cleanup: { limits: { count: 100, percent: 100 } } }
`);
}

const deliver = (rows: readonly string[], header = 'id,name,level,boss'): Promise<void> => put([header, ...rows, ''].join('\n'));

async function put(text: string): Promise<void> {
  await writeFile(join(folder, 'new.tmp'), text);
  await rename(join(folder, 'new.tmp'), join(folder, `${id}.csv`));
}

function ask(mode: RequestedMode): Promise<Ending> {
  return tidemark.sync({ integration: id, mode });
}

async function sync(mode: RequestedMode): Promise<RunSummary> {
  const { outcome, run, failure } = await ask(mode);
  expect(outcome, failure?.message).toBe('succeeded');
  return run as RunSummary;
}

async function changesOf(run: RunSummary): Promise<readonly string[]> {
  const { rows } = await tidemark.store.pool.query<{ kind: string }>('select kind from tidemark.change where run_id = $1 order by id', [
    run.id,
  ]);
  return rows.map(({ kind }) => kind);
}

/** Hashes of what is stored, by id. */
async function hashes(): Promise<Readonly<Record<string, readonly [string, string]>>> {
  const { rows } = await tidemark.store.pool.query<{ id: string; source: string; links: string }>(
    `select o.source_id as id, encode(o.source_hash, 'hex') as source, encode(l.links_hash, 'hex') as links
       from tidemark.object o left join tidemark.links_state l on l.object_id = o.id where o.integration_id = $1 order by 1`,
    [id],
  );
  return Object.fromEntries(rows.map((row) => [row.id, [row.source, row.links]]));
}

test('a file that says the same in another way changes nothing that anybody sees, once', async () => {
  const before = await objectsOf(tidemark.store, id);
  const reordered = people.map((row) => {
    const [, key, name, level, boss] = /^(\d),(".*"|[^,]*),(\d),(\d?)$/.exec(row) ?? [];
    return `${boss},"${level}",${key},${name?.startsWith('"') ? name : `"${name}"`}`;
  });
  await deliver(reordered, 'boss,level,id,name');
  const run = await sync('delta');
  expect(run.streams.users).toMatchObject({ read: 5, created: 0, updated: 0, deleted: 0 });
  expect(await changesOf(run)).toEqual([]);
  expect(await objectsOf(tidemark.store, id)).toEqual(before);
  expect((await sync('complete')).streams.users).toMatchObject({ unchanged: 5 });
});

test('of a changed file only the rows that changed count as such', async () => {
  const before = await hashes();
  await deliver(people.with(1, '2,Bob,2,5'));
  const run = await sync('delta');
  expect(run.streams.users).toMatchObject({ read: 5, unchanged: 4 });
  expect(await changesOf(run)).toEqual(expect.arrayContaining(['link-added', 'link-removed']));
  const { 2: changed, ...others } = await hashes();
  expect(before).toMatchObject(others);
  expect(before).not.toMatchObject({ 2: changed });
});

test('rows that were stored by hashes of another kind are compared once, and hashed anew without a word', async () => {
  const { pool } = tidemark.store;
  for (const { sourceId, attributes } of await objectsOf(tidemark.store, id)) {
    const { displayName, level } = attributes as Record<string, string>;
    const hash = sourceHash({ id: sourceId, attributes: { name: displayName ?? '', level: level ?? '' } }, new Set());
    await pool.query(`update tidemark.object set source_hash = decode($3, 'hex') where integration_id = $1 and source_id = $2`, [
      id,
      sourceId,
      hash,
    ]);
  }
  const run = await sync('complete');
  expect(run.streams.users).toMatchObject({ read: 5, updated: 0 });
  expect(run.drift).toEqual({ users: {} });
  expect(await changesOf(run)).toEqual([]);
  const again = await hashes();
  await sync('complete');
  expect(await hashes()).toEqual(again);
});

test('of rows without links one that changed is found all the same', async () => {
  await configure('', 'displayName: source.name', '{}');
  await sync('complete');
  await deliver(people.with(1, '2,Bobby,2,1'));
  expect((await sync('delta')).streams.users).toMatchObject({ read: 5, unchanged: 4, updated: 1 });
});

test('what a stream declares as volatile does not count, although it is in the record', async () => {
  volatile = ['level'];
  await configure('attributes: [level]', 'displayName: source.name');
  await sync('complete');
  const before = await hashes();
  await deliver(people.with(0, '1,Ann,9,'));
  expect((await sync('delta')).streams.users).toMatchObject({ read: 5, unchanged: 5 });
  expect(await hashes()).toEqual(before);
});

test('beside a row that PostgreSQL refuses the others of its page count as they were', async () => {
  const { pool } = tidemark.store;
  await pool.query(`alter table tidemark.staged_item add constraint no_staging check (attributes ->> 'name' <> 'unstageable')`);
  await deliver(people.with(1, '2,unstageable,2,1').with(4, '5,Eva,5,2'));
  const run = await sync('delta');
  await pool.query(`alter table tidemark.staged_item drop constraint no_staging`);
  expect(run.streams.users).toMatchObject({ read: 5, updated: 1, quarantined: 1, deleted: 0 });
});

test('another type of a column, and a column that is mapped for the first time, are read from rows that did not change', async () => {
  await configure('types: { level: integer }');
  expect((await sync('delta')).streams.users).toMatchObject({ mode: 'complete', updated: 5 });
  await configure('types: { level: integer }', 'displayName: source.name, level: source.level, bossNumber: source.boss');
  expect((await sync('delta')).streams.users).toMatchObject({ mode: 'complete', updated: 4 });
  expect((await objectsOf(tidemark.store, id))[1]?.attributes).toEqual({ displayName: 'Bob', level: 2, bossNumber: '1' });
});

test('a type that rows which did not change have not is told with their line', async () => {
  await configure('types: { name: integer }');
  expect((await ask('delta')).failure).toMatchObject({
    type: 'ListingIncomplete',
    message: expect.stringMatching(new RegExp(`users: ${id}\\.csv, line 2: name is no integer`)),
  });
});

test('a row of too few cells in the middle of a whole file is told with its line, and nothing is applied', async () => {
  const before = await objectsOf(tidemark.store, id);
  await deliver(people.with(2, '3,Cy').with(4, '5,New,5,2'));
  expect((await ask('delta')).failure).toMatchObject({
    type: 'ListingIncomplete',
    message: expect.stringMatching(/line 4: the row has 2 cells, but there are 4 columns/),
  });
  expect(await objectsOf(tidemark.store, id)).toEqual(before);
});

test('links whose step has not come to its end are applied although the row is as it was', async () => {
  const { pool } = tidemark.store;
  const before = await objectsOf(tidemark.store, id);
  const ofBob = `(select id from tidemark.object where integration_id = $1 and source_id = '2')`;
  await pool.query(`delete from tidemark.link where from_id = ${ofBob}`, [id]);
  await pool.query(`delete from tidemark.links_state where object_id = ${ofBob}`, [id]);
  expect((await sync('complete')).links).toMatchObject({ added: 1 });
  expect(await objectsOf(tidemark.store, id)).toEqual(before);
});

test('who comes and goes between two deltas is not there, however far apart it is told', async () => {
  const block = `changes: { files: '${id}-changes-*.csv', operation: op }`;
  await configure(block);
  await sync('complete');
  const others = Array.from({ length: 25 }, (_, index) => `I,${index + 10},New,1,`);
  // Two pages of ten lie between the one, and the end of the read is with the other.
  const rows = ['I,9,Nine,1,', ...others, 'D,9,,,', 'I,8,Eight,1,', 'D,8,,,'];
  await writeFile(join(folder, `${id}-changes-1.csv`), ['op,id,name,level,boss', ...rows, ''].join('\n'));
  expect((await sync('delta')).streams.users).toMatchObject({ mode: 'delta', created: 25, deleted: 0 });
  const ids = (await objectsOf(tidemark.store, id)).map(({ sourceId }) => Number(sourceId));
  expect(ids.filter((one) => one === 8 || one === 9)).toEqual([]);
});

test('who is missing in a file is gone, and the file is not read a second time', async () => {
  await deliver(people.slice(0, 3));
  expect((await sync('delta')).streams.users).toMatchObject({ deleted: 2 });
  expect(asked).toEqual([]);
});

test('who is missing in a file that was put there since the run began is looked for once more', async () => {
  await deliver(people.slice(0, 3));
  beforeReading = async () => {
    await deliver(people.slice(0, 4));
    beforeReading = async () => undefined;
  };
  expect((await sync('delta')).streams.users).toMatchObject({ deleted: 1 });
  expect(asked).toEqual(['5']);
});
