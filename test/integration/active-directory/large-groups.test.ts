import type { Client } from 'ldapts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { add, idsAt, remove, replace } from '../../support/directory-edits.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { makeLargeGroups } from '../../support/samba-bulk.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { passwordVariable, sync } from './deltas-oracle.ts';

/** Around MaxValRange, the 1,500 values that a Windows domain controller gives at once, around twice as many, and many. */
const sizes = [1_499, 1_500, 1_501, 3_001, 20_000] as const;
const people = Math.max(...sizes) + 10;

let dc: SambaServer;
let client: Client;
let tidemark: TestTidemark;
let scope: string;
let kept: string;
const undo = new AsyncDisposableStack();

const person = (index: number): string => `CN=P${index},${scope}`;
const group = (size: number): string => `CN=Group of ${size},${scope}`;
const members = (size: number): readonly string[] => Array.from({ length: size }, (_, index) => person(index));

beforeAll(async () => {
  dc = undo.use(await startSamba());
  scope = `OU=Many,${dc.baseDn}`;
  await makeLargeGroups(dc, { ouDn: scope, people, sizes });
  tidemark = undo.use(await startTidemark([activeDirectory]));
  process.env[passwordVariable] = dc.adminPassword;
  client = await dc.client();
  undo.defer(() => client.unbind());
  kept = await integration('kept');
  await sync(tidemark, kept, 'complete');
}, 300_000);
afterAll(() => undo.disposeAsync());

/** A new integration with the default sizes of pages and ranges, and without limits. */
async function integration(name: string): Promise<string> {
  const id = tidemark.temporal.integrationId(name);
  const unlimited = '{ count: 100000, percent: 100, floor: 1000 }';
  await tidemark.apply(`
integrations:
  ${id}:
    connector: active-directory
    settings:
      urls: ['${dc.ldapUrl}']
      allowPlaintext: true
      bindDn: '${dc.adminDn}'
      bindPassword: { env: ${passwordVariable} }
      baseDn: '${scope}'
    streams: { users: {}, groups: {} }
    steps: { membership: { limits: ${unlimited} }, cleanup: { limits: ${unlimited} } }
`);
  return id;
}

async function expectAsReadAnew(): Promise<void> {
  const fresh = await integration('fresh');
  await sync(tidemark, fresh, 'complete');
  const [now, anew] = [await objectsOf(tidemark.store, kept), await objectsOf(tidemark.store, fresh)];
  expect(now.length).toBe(anew.length);
  // One at a time: a difference in twenty thousand is otherwise not readable.
  for (const [index, object] of now.entries()) expect(object).toEqual(anew[index]);
}

/** How many members each group has that is stored. */
async function memberCounts(): Promise<Readonly<Record<string, number>>> {
  const { rows } = await tidemark.store.pool.query<{ key: string; count: number }>(
    `select o.key, count(l.to_id)::int as count
       from tidemark.object o left join tidemark.link l on l.from_id = o.id and l.kind = 'member'
      where o.integration_id = $1 and o.stream = 'groups' and o.deleted_at is null group by o.key`,
    [kept],
  );
  return Object.fromEntries(rows.map(({ key, count }) => [key, count]));
}

test('groups of any size are read whole', async () => {
  expect(await memberCounts()).toEqual(Object.fromEntries(sizes.map((size) => [group(size), size])));
});

test('deltas follow one member more and one less in groups of any size, over the boundary of a range and back', async () => {
  for (const size of sizes) await client.modify(group(size), [add('member', person(size), person(size + 1))]);
  expect((await sync(tidemark, kept, 'delta')).links).toMatchObject({ added: 2 * sizes.length, removed: 0 });
  expect(await memberCounts()).toEqual(Object.fromEntries(sizes.map((size) => [group(size), size + 2])));
  for (const size of sizes) await client.modify(group(size), [remove('member', person(0), person(1), person(size))]);
  expect((await sync(tidemark, kept, 'delta')).links).toMatchObject({ added: 0, removed: 3 * sizes.length });
  expect(await memberCounts()).toEqual(Object.fromEntries(sizes.map((size) => [group(size), size - 1])));
  await expectAsReadAnew();
});

test('who is deleted leaves groups of any size, and who is renamed stays', async () => {
  await client.del(person(5));
  await client.modifyDN(person(6), `CN=Renamed,${scope}`);
  const { streams, links } = await sync(tidemark, kept, 'delta');
  expect({ users: streams.users, links }).toMatchObject({ users: { deleted: 1, updated: 1 }, links: { added: 0, removed: sizes.length } });
  await expectAsReadAnew();
});

test('large groups nested in a circle are followed', async () => {
  for (const [index, size] of sizes.entries())
    await client.modify(group(size), [add('member', group(sizes[(index + 1) % sizes.length] ?? 0))]);
  expect((await sync(tidemark, kept, 'delta')).links).toMatchObject({ added: sizes.length, removed: 0 });
  await client.modify(group(1_501), [remove('member', group(3_001)), replace('description', 'no longer in the circle')]);
  expect((await sync(tidemark, kept, 'delta')).links).toMatchObject({ added: 0, removed: 1 });
  await expectAsReadAnew();
});

test('a large group that is deleted and made again under its name is another one, with its own members', async () => {
  const before = await idsAt(client, group(3_001));
  await client.del(group(3_001));
  await client.add(group(3_001), { objectClass: 'group', sAMAccountName: 'g3001', member: [...members(3_001).slice(100)] });
  expect((await idsAt(client, group(3_001))).guid).not.toBe(before.guid);
  const { streams } = await sync(tidemark, kept, 'delta');
  expect(streams.groups).toMatchObject({ created: 1, deleted: 1 });
  await expectAsReadAnew();
});
