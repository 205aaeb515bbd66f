import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import type { QuarantinedRow } from '../../../store/read-quarantine.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;
let client: TidemarkClient;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
  client = await TidemarkClient.connect({
    databaseUrl: tidemark.databaseUrl,
    temporal: { connection: { address: tidemark.temporal.address }, namespace: tidemark.temporal.namespace },
    taskQueue: tidemark.temporal.taskQueue,
  });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await tidemark?.[Symbol.asyncDispose]();
});

async function integrate(name: string, users = '{}'): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  await configure(id, users);
  return { id, source };
}

function configure(id: string, users: string): Promise<void> {
  return tidemark.apply(
    `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: ${users}, groups: {} }, steps: { upsert: { batchSize: 4 } } } }`,
  );
}

const person = (n: number) => ({ uid: `user${n}`, cn: `User ${n}` });

function fill(source: ScriptedSource, users: number): void {
  for (let n = 1; n <= users; n++) source.put('users', `u${n}`, person(n), { manager: [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: Array.from({ length: users }, (_, n) => `u${n + 1}`) });
}

async function ids(id: string): Promise<readonly string[]> {
  return (await objectsOf(tidemark.store, id)).map(({ sourceId }) => sourceId);
}

async function reasons(id: string): Promise<Readonly<Record<string, string>>> {
  return Object.fromEntries((await client.quarantined({ integration: id })).map(({ sourceId, reason }) => [sourceId, reason]));
}

describe('a record that cannot be stored', () => {
  it('because an expression makes a character that PostgreSQL refuses is set aside alone', async () => {
    const { id, source } = await integrate(
      'nul-made',
      String.raw`{ mapping: { title: 'source.uid == "user2" ? "a\u0000b" : source.uid' } }`,
    );
    fill(source, 5);
    const { run } = await client.sync({ integration: id, mode: 'complete' });
    expect(run).toMatchObject({ outcome: 'succeeded', streams: { users: { created: 4, quarantined: 1 } } });
    expect(await reasons(id)).toEqual({ u2: expect.stringMatching(/^mapping title: .*NUL/) });
    expect(await ids(id)).toEqual(['g1', 'u1', 'u3', 'u4', 'u5']);
  });

  it('because its id fits no index, or holds a NUL, is set aside under a stand-in; links to it stay unresolved', async () => {
    const { id, source } = await integrate('ids');
    fill(source, 3);
    // Random letters: an index row is compressed where it can be.
    const long = Array.from({ length: 3_000 }, (_, n) => String.fromCharCode(97 + ((n * n * 31 + n * 7) % 26))).join('');
    source.put('users', long, person(4), { manager: [] });
    source.put('users', 'nul\0', person(5), { manager: [] });
    source.put('groups', 'g2', { cn: 'Group 2' }, { member: ['u1', long, 'nul\0'] });
    const { run } = await client.sync({ integration: id, mode: 'complete' });
    expect(run).toMatchObject({ outcome: 'succeeded', streams: { users: { created: 3, quarantined: 2 } }, links: { unresolved: 2 } });
    expect(Object.keys(await reasons(id))).toEqual([expect.stringMatching(/^sha256:/), expect.stringMatching(/^sha256:/)]);
    expect(Object.values(await reasons(id)).toSorted()).toEqual([
      expect.stringContaining('3000 bytes'),
      expect.stringContaining('a character that cannot be stored'),
    ]);
    const again = await client.retryQuarantined({ integration: id });
    expect(again).toMatchObject({ tried: 2, released: 0 });
    source.remove(long);
    await client.sync({ integration: id, mode: 'delta' });
    expect(Object.keys(await reasons(id))).toHaveLength(1);
  });

  it('because PostgreSQL refuses its row, when it is staged or applied, is found and set aside; the rest of its batch is stored', async () => {
    const { id, source } = await integrate('refused');
    const { pool } = tidemark.store;
    fill(source, 11);
    source.put('users', 'u3', { uid: 'unstageable', cn: 'User 3' }, { manager: ['u1'] });
    source.put('users', 'u6', { uid: 'unstorable', cn: 'User 6' }, { manager: ['u1'] });
    source.put('users', 'u7', person(7), { manager: ['u6'] });
    source.put('users', 'u8', person(8), { manager: ['unlinkable'] });
    source.put('users', 'u9', person(9), { manager: ['u1'] });
    source.put('groups', 'g2', { cn: 'Group 2' }, { member: ['u5'] });
    source.put('groups', 'g3', { cn: 'Group 3' }, { member: ['unlinkable', 'u1'] });
    await pool.query(`alter table tidemark.staged_item add constraint no_staging check (attributes ->> 'uid' <> 'unstageable')`);
    // A first read stores what it reads at once.
    await pool.query(`alter table tidemark.object add constraint no_staging check (source ->> 'uid' <> 'unstageable')`);
    await pool.query(`alter table tidemark.object add constraint no_storing check (attributes ->> 'userName' <> 'unstorable')`);
    await pool.query(`alter table tidemark.unresolved_link add constraint no_linking check (target <> 'unlinkable')`);
    const { run } = await client.sync({ integration: id, mode: 'complete' });
    expect(run).toMatchObject({
      outcome: 'succeeded',
      streams: { users: { created: 9, quarantined: 3, marker: { after: String(source.usn) } }, groups: { created: 3, quarantined: 1 } },
    });
    expect(await reasons(id)).toEqual({
      g3: 'PostgreSQL refused to store it (SQLSTATE 23514, no_linking)',
      u3: 'PostgreSQL refused to store it (SQLSTATE 23514, no_staging)',
      u6: 'PostgreSQL refused to store it (SQLSTATE 23514, no_storing)',
      u8: 'PostgreSQL refused to store it (SQLSTATE 23514, no_linking)',
    });
    const linked = Object.fromEntries((await objectsOf(tidemark.store, id)).map(({ sourceId, links }) => [sourceId, links]));
    expect(linked).toMatchObject({
      g1: { member: expect.arrayContaining(['u1', 'u11']) },
      g2: { member: ['u5'] },
      g3: {},
      u7: {},
      u8: {},
      u9: { manager: ['u1'] },
    });
    expect((await client.sync({ integration: id, mode: 'delta' })).outcome).toBe('succeeded');
    await pool.query(`alter table tidemark.staged_item drop constraint no_staging`);
    await pool.query(`alter table tidemark.object drop constraint no_staging, drop constraint no_storing`);
    await pool.query(`alter table tidemark.unresolved_link drop constraint no_linking`);
    expect(await client.retryQuarantined({ integration: id })).toMatchObject({ tried: 4, released: 4, left: [] });
    const after = Object.fromEntries((await objectsOf(tidemark.store, id)).map(({ sourceId, links }) => [sourceId, links]));
    expect(after).toMatchObject({ g3: { member: ['u1'] }, u3: { manager: ['u1'] }, u7: { manager: ['u6'] } });
    expect(after.g1?.member).toHaveLength(11);
  });
});

describe('a quarantined record', () => {
  const strict = `{ mapping: { active: source.enabled } }`;

  it('says why, with a fingerprint of what was read, since when and whether an object of it is stored', async () => {
    const { id, source } = await integrate('listed');
    fill(source, 2);
    await client.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u1', { ...person(1), enabled: 'perhaps' }, { manager: [] });
    source.put('users', 'u9', { ...person(9), enabled: 'perhaps' }, { manager: [] });
    await configure(id, strict);
    const first = await client.sync({ integration: id, mode: 'delta' });
    const rows = await client.quarantined({ integration: id, stream: 'users' });
    const common = { integration: id, stream: 'users', firstRun: first.run?.id, lastRun: first.run?.id, retryAskedAt: null };
    expect(rows.filter(({ sourceId }) => sourceId !== 'u2')).toEqual([
      {
        ...common,
        sourceId: 'u1',
        stored: true,
        reason: expect.stringContaining('active'),
        fingerprint: expect.any(String),
        since: expect.any(String),
      },
      {
        ...common,
        sourceId: 'u9',
        stored: false,
        reason: expect.stringContaining('active'),
        fingerprint: expect.any(String),
        since: expect.any(String),
      },
    ] satisfies readonly unknown[]);
    expect(JSON.stringify(rows)).not.toContain('perhaps');
    source.put('users', 'u1', { ...person(1), enabled: 'maybe' }, { manager: [] });
    await client.sync({ integration: id, mode: 'delta' });
    const [again] = (await client.quarantined({ integration: id })).filter(({ sourceId }) => sourceId === 'u1') as [QuarantinedRow];
    expect(again.fingerprint).not.toBe(rows.find(({ sourceId }) => sourceId === 'u1')?.fingerprint);
    expect(Number(again.lastRun)).toBeGreaterThan(Number(again.firstRun));
  });

  it('is tried again when the mapping changes', async () => {
    const { id, source } = await integrate('remapped', strict);
    source.put('users', 'u1', { ...person(1), enabled: 'yes' }, { manager: [] });
    await client.sync({ integration: id, mode: 'auto' });
    // The record itself is behind the marker, so that only the mapping can bring it back.
    for (const user of ['u2', 'u3']) {
      source.put('users', user, { ...person(2), enabled: true }, { manager: [] });
      await client.sync({ integration: id, mode: 'delta' });
    }
    expect(Object.keys(await reasons(id))).toEqual(['u1']);
    await configure(id, `{ mapping: { active: 'source.enabled == true || source.enabled == "yes"' } }`);
    await client.sync({ integration: id, mode: 'delta' });
    expect(await reasons(id)).toEqual({});
    expect(await ids(id)).toContain('u1');
  });

  it('is read again by id when it is asked for, never taken from what was read before', async () => {
    const { id, source } = await integrate('retried', strict);
    for (const n of [1, 2, 3]) source.put('users', `u${n}`, { ...person(n), enabled: 'perhaps' }, { manager: [] });
    source.put('users', 'u4', { ...person(4), enabled: true }, { manager: ['u1'] });
    await client.sync({ integration: id, mode: 'complete' });
    // The source changes without counting it as a change: no delta would notice.
    const mend = (user: string, enabled: boolean | string) => {
      const entry = source.entries.get(user);
      if (entry) source.entries.set(user, { ...entry, attributes: { ...entry.attributes, enabled }, usn: 0 });
    };
    for (const user of ['u1', 'u2', 'u3', 'u4']) mend(user, true);
    mend('u2', 'still perhaps');
    source.put('users', 'last', { ...person(5), enabled: true }, { manager: [] });
    await client.sync({ integration: id, mode: 'delta' });
    expect(Object.keys(await reasons(id))).toEqual(['u1', 'u2', 'u3']);
    const some = await client.retryQuarantined({ integration: id, stream: 'users', ids: ['u1', 'u2'] });
    expect(some).toMatchObject({ tried: 2, released: 1, left: [{ sourceId: 'u2', retryAskedAt: null }], sync: { outcome: 'succeeded' } });
    expect(some.sync?.run).toMatchObject({ mode: 'delta', streams: { users: { created: 1, quarantined: 1 } } });
    expect(Object.keys(await reasons(id))).toEqual(['u2', 'u3']);
    const objects = await objectsOf(tidemark.store, id);
    expect(objects.find(({ sourceId }) => sourceId === 'u4')?.links).toEqual({ manager: ['u1'] });
    source.entries.delete('u3');
    mend('u2', true);
    expect(await client.retryQuarantined({ integration: id })).toMatchObject({ tried: 2, released: 1, left: [{ sourceId: 'u3' }] });
    source.put('users', 'u3', { ...person(3), enabled: true }, { manager: [] });
    source.remove('u3');
    expect(await client.retryQuarantined({ integration: id })).toMatchObject({ released: 1, left: [] });
    expect(await client.retryQuarantined({ integration: id })).toEqual({ tried: 0, released: 0, left: [], sync: null });
    await expect(client.retryQuarantined({ integration: id, ids: ['u9'] })).rejects.toThrow(/u9 is not in quarantine/);
  });

  it('that is asked for while a run is under way is left to the next one', async () => {
    const { id, source } = await integrate('retry-late', strict);
    source.put('users', 'u1', { ...person(1), enabled: 'perhaps' }, { manager: [] });
    await client.sync({ integration: id, mode: 'complete' });
    const entry = source.entries.get('u1');
    if (entry) source.entries.set('u1', { ...entry, attributes: { ...person(1), enabled: true }, usn: 0 });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: [] });
    const gate = source.stall();
    const running = await client.startSync({ integration: id, mode: 'delta' });
    await gate.reached;
    expect(await client.retryQuarantined({ integration: id })).toMatchObject({
      tried: 1,
      released: 0,
      left: [{ retryAskedAt: expect.any(String) }],
      sync: { outcome: 'skipped' },
    });
    gate.open();
    await client.follow(running);
    expect(Object.keys(await reasons(id))).toEqual(['u1']);
    await client.sync({ integration: id, mode: 'delta' });
    expect(await reasons(id)).toEqual({});
  });
});
