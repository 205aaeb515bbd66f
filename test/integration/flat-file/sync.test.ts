import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Connector } from '../../../connectors/connector.ts';
import { flatFile } from '../../../connectors/flat-file/index.ts';
import type { RequestedMode, RunSummary } from '../../../model/run.ts';
import { type Ending, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

let tidemark: TestTidemark;
let folder: string;
let id: string;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-sync-files-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  tidemark = undo.use(await startTidemark([flatFile as Connector]));
  id = await integration('hr');
  await deliver(people(30));
  await put('groups.csv', 'id,name,members\ng1,Staff,1|2|3\n');
  expect((await sync('complete')).streams).toMatchObject({ users: { created: 30 }, groups: { created: 1 } });
}, 300_000);
afterAll(() => undo.disposeAsync());

async function integration(name: string): Promise<string> {
  const integrationId = tidemark.temporal.integrationId(name);
  await configure(integrationId, 'source.name');
  return integrationId;
}

function configure(integrationId: string, displayName: string): Promise<void> {
  return tidemark.apply(`
integrations:
  ${integrationId}:
    connector: flat-file
    settings: { folder: '${folder}' }
    streams:
      users:
        files: [people.csv]
        key: id
        links: { manager: { column: manager } }
        mapping: { displayName: ${displayName} }
        proof: { settle: 0ms, maxShrinkPercent: 50 }
      groups:
        files: [groups.csv]
        key: id
        links: { member: { column: members, separator: '|' } }
        mapping: { displayName: source.name }
        proof: { settle: 0ms }
    steps: { cleanup: { limits: { count: 100, percent: 20, floor: 3 } } }
`);
}

interface Row {
  readonly name: string;
  readonly manager: string;
}

function people(count: number): Map<string, Row> {
  return new Map(
    Array.from({ length: count }, (_, index) => [String(index + 1), { name: `Person ${index + 1}`, manager: index === 0 ? '' : '1' }]),
  );
}

async function put(name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.tmp`), text);
  await rename(join(folder, `${name}.tmp`), join(folder, name));
}

const deliver = (rows: ReadonlyMap<string, Row>): Promise<void> =>
  put('people.csv', ['id,name,manager', ...[...rows].map(([key, { name, manager }]) => `${key},${name},${manager}`), ''].join('\n'));

async function ask(mode: RequestedMode, integrationId = id): Promise<Ending> {
  return tidemark.sync({ integration: integrationId, mode });
}

async function sync(mode: RequestedMode, integrationId = id): Promise<RunSummary> {
  const { outcome, run, failure } = await ask(mode, integrationId);
  expect(outcome, failure?.message).toBe('succeeded');
  return run as RunSummary;
}

async function expectAsReadAnew(displayName = 'source.name'): Promise<void> {
  const fresh = await integration('fresh');
  await configure(fresh, displayName);
  await sync('complete', fresh);
  expect(await objectsOf(tidemark.store, id)).toEqual(await objectsOf(tidemark.store, fresh));
}

test('a delta of files that did not change reads no row', async () => {
  const run = await sync('delta');
  expect(run).toMatchObject({ mode: 'delta', streams: { users: { mode: 'delta', read: 0 }, groups: { mode: 'delta', read: 0 } } });
});

test('a delta finds what is new, changed and no longer there, and leaves what a complete sync reads anew', async () => {
  const rows = people(32);
  rows.delete('7');
  rows.set('3', { name: 'Renamed', manager: '2' });
  await deliver(rows);
  expect((await sync('delta')).streams).toMatchObject({
    users: { mode: 'delta', created: 2, updated: 1, deleted: 1, unchanged: 28 },
    groups: { read: 0 },
  });
  await expectAsReadAnew();
});

test('a delta in which only somebody is missing finds that too', async () => {
  const rows = people(31);
  rows.delete('7');
  rows.set('3', { name: 'Renamed', manager: '2' });
  await deliver(rows);
  expect((await sync('delta')).streams.users).toMatchObject({ created: 0, updated: 0, deleted: 1 });
  await expectAsReadAnew();
});

test('a complete sync of changed files calls nothing drift', async () => {
  const rows = people(30);
  rows.delete('7');
  await deliver(rows);
  const run = await sync('complete');
  expect(run.streams.users).toMatchObject({ updated: 1, deleted: 1 });
  expect(run.drift?.users ?? {}).toEqual({});
});

test('a file that was cut is refused, whatever it lacks, and the next whole one is taken', async () => {
  const before = await objectsOf(tidemark.store, id);
  await put('people.csv', 'id,name,manager\n1,Person 1,\n2,Pers');
  const { outcome, failure } = await ask('delta');
  expect(outcome).toBe('failed');
  expect(failure).toMatchObject({ type: 'ListingIncomplete' });
  expect(failure?.message).toMatch(/people\.csv, line 3: the last line has no line feed at its end, so it may have been cut/);
  expect(await objectsOf(tidemark.store, id)).toEqual(before);
  const rows = people(30);
  rows.delete('7');
  rows.set('9', { name: 'Changed', manager: '1' });
  await deliver(rows);
  expect((await sync('delta')).streams.users).toMatchObject({ updated: 1, deleted: 0 });
});

test('absence beyond the limits is held, stays held in the next delta, and is withdrawn by who comes back', async () => {
  const fewer = people(20);
  fewer.delete('7');
  await deliver(fewer);
  expect((await sync('delta')).streams.users).toMatchObject({ deleted: 0, held: 10 });
  const evenFewer = people(19);
  evenFewer.delete('7');
  await deliver(evenFewer);
  expect((await sync('delta')).streams.users).toMatchObject({ deleted: 0, held: 11 });
  const back = people(30);
  back.delete('7');
  await deliver(back);
  expect((await sync('delta')).streams.users).toMatchObject({ deleted: 0, held: 0, created: 0 });
  await expectAsReadAnew();
});

test('a delta that maps what is stored anew still finds who is missing, in whole files and where nothing changed', async () => {
  const rows = people(29);
  rows.delete('7');
  await deliver(rows);
  await configure(id, 'source.name + "!"');
  expect((await sync('delta')).streams.users).toMatchObject({ mode: 'delta', deleted: 1, updated: 28 });
  await expectAsReadAnew('source.name + "!"');
  await configure(id, 'source.name + "?"');
  expect((await sync('delta')).streams.users).toMatchObject({ mode: 'delta', read: 0, deleted: 0, updated: 28 });
  await expectAsReadAnew('source.name + "?"');
});
