import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import type { SyncState } from '../../../cli/progress.ts';
import { TidemarkFailure } from '../../../model/failure.ts';
import type { Change } from '../../../store/sql/read-changes.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { eventually, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

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
  await client[Symbol.asyncDispose]();
  await tidemark[Symbol.asyncDispose]();
});

async function integrate(name: string, people: number): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  for (let n = 1; n <= people; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: n > 1 ? ['u1'] : [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: Array.from({ length: people }, (_, n) => `u${n + 1}`) });
  await tidemark.apply(`integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} } } }`);
  return { id, source };
}

async function collect<T>(rows: AsyncIterable<T>): Promise<readonly T[]> {
  const collected: T[] = [];
  for await (const row of rows) collected.push(row);
  return collected;
}

describe('the program API', () => {
  it('syncs, and gives the outcome with the run', async () => {
    const { id } = await integrate('api', 3);
    const { outcome, reason, run } = await client.sync({ integration: id, mode: 'auto' });
    expect({ outcome, reason }).toEqual({ outcome: 'succeeded', reason: 'this stream has never been read completely' });
    expect(run?.streams.users).toMatchObject({ mode: 'complete', created: 3 });
    expect(await client.run(run?.id ?? '')).toEqual(run);
    const durationMs = Date.parse(run?.finishedAt ?? '') - Date.parse(run?.startedAt ?? '');
    expect(await client.runs({ integration: id })).toEqual([
      { ...run, durationMs, items: { processed: 4, succeeded: 4, failed: 0 }, trend: null },
    ]);
  });

  it('tells a failed sync with the typed failure of its run, which is recorded', async () => {
    const { id, source } = await integrate('failing', 1);
    source.failures.push(new TidemarkFailure('RightsMissing', 'The account may not read this.', { remedy: 'Let it.' }));
    const { outcome, reason, run } = await client.sync({ integration: id, mode: 'complete' });
    expect(outcome).toBe('failed');
    expect(run).toMatchObject({ outcome: 'failed', integration: id });
    expect(run?.failure).toMatchObject({ type: 'RightsMissing', details: { remedy: 'Let it.' } });
    expect(reason).toBe(run?.failure?.message);
  });

  it('reports progress while a run works, tells a second request as skipped, and cancels on a signal', async () => {
    const { id, source } = await integrate('slow', 5);
    const gate = source.stall();
    const cancelling = new AbortController();
    const states: SyncState[] = [];
    let running!: () => void;
    const seen = new Promise<void>((resolve) => {
      running = resolve;
    });
    const syncing = client.sync(
      { integration: id, mode: 'complete' },
      {
        signal: cancelling.signal,
        onProgress: (state) => {
          states.push(state);
          if (state.phase === 'running' && state.step === 'query') running();
        },
      },
    );
    await seen;
    const status = (await client.status()).find(({ integration }) => integration === id);
    expect(status?.lastRun).toMatchObject({ outcome: 'running' });
    const waiting = await client.startSync({ integration: id, mode: 'complete' });
    await eventually('a request that waits beside the one that runs', async () => {
      const { active, waiting } = (await client.requests(id)).get(id) ?? { active: 0, waiting: 0 };
      return active === 1 && waiting === 1;
    });
    const open = (await client.status()).find(({ integration }) => integration === id);
    expect(open?.requests).toEqual({ active: 1, waiting: 1 });
    expect(open?.open.find(({ workflowId }) => workflowId === waiting)).toMatchObject({ kind: 'request', state: 'waiting' });
    expect(open?.open.find(({ kind }) => kind === 'run')).toMatchObject({ state: 'active' });
    await tidemark.temporal.client.workflow.getHandle(waiting).cancel();
    expect(await client.follow(waiting)).toMatchObject({ outcome: 'cancelled' });
    const skipped = await client.sync({ integration: id, mode: 'delta' });
    expect(skipped).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining('was running'), run: { outcome: 'skipped' } });
    cancelling.abort();
    const { outcome, run } = await syncing;
    gate.open();
    expect(outcome).toBe('cancelled');
    expect(run).toMatchObject({ outcome: 'cancelled', integration: id });
    expect(states.at(-1)).toMatchObject({ run: run?.id, mode: 'complete' });
    const told = states.slice(states.findIndex((state) => state.run !== null));
    expect(new Set(told.map((state) => `${state.phase} ${state.run} ${state.mode}`)).size).toBe(1);
    expect(await client.markers(id)).toEqual({});
  });

  it('streams objects with their links in the order of their ids', async () => {
    const { id, source } = await integrate('objects', 2_500);
    await client.sync({ integration: id, mode: 'auto' });
    const users = await collect(client.objects(id, { stream: 'users' }));
    const all = await collect(client.objects(id));
    expect(all.map(({ deletedAt, ...object }) => object)).toEqual(await objectsOf(tidemark.store, id));
    expect(users).toHaveLength(2_500);
    expect(users[0]).toMatchObject({ sourceId: 'u1', links: {}, deletedAt: null });
    const [group] = await collect(client.objects(id, { stream: 'groups' }));
    expect(group?.links.member).toEqual(users.map(({ sourceId }) => sourceId));
    source.remove('u2');
    await client.sync({ integration: id, mode: 'delta' });
    const deleted = await collect(client.objects(id, { stream: 'users', deleted: true }));
    expect(deleted.map(({ sourceId, links }) => ({ sourceId, links }))).toEqual([{ sourceId: 'u2', links: {} }]);
    expect(Date.parse(deleted[0]?.deletedAt ?? '')).toBeGreaterThan(0);
    expect(await collect(client.objects(id, { stream: 'users' }))).toHaveLength(2_499);
  });

  it('streams changes run by run; a cursor goes on without loss or repetition, in whatever portions it is read', async () => {
    const { id, source } = await integrate('changes', 1_200);
    await client.sync({ integration: id, mode: 'auto' });
    source.put('users', 'u1', { uid: 'user1', cn: 'Renamed' });
    source.remove('u2');
    const { run } = await client.sync({ integration: id, mode: 'delta' });
    const whole = await collect(client.changes());
    const mine = whole.filter((change) => change.integration === id);
    expect(mine.filter(({ kind }) => kind === 'created')).toHaveLength(1_201);
    expect(mine.filter((change) => change.run === run?.id && change.link === null)).toMatchObject([
      {
        kind: 'updated',
        sourceId: 'u1',
        before: { attributes: { displayName: 'User 1' } },
        after: { attributes: { displayName: 'Renamed' } },
      },
      { kind: 'deleted', sourceId: 'u2' },
    ]);
    const portions: Change[] = [];
    for (;;) {
      const after = portions.at(-1)?.cursor;
      const portion = await collect(client.changes({ limit: 777, ...(after === undefined ? {} : { after }) }));
      if (portion.length === 0) break;
      portions.push(...portion);
    }
    expect(portions).toEqual(whole);
    expect(new Set(whole.map(({ cursor }) => cursor)).size).toBe(whole.length);
    expect(await collect(client.changes({ limit: 0 }))).toEqual([]);
  });

  it('lists each run with its items, and its duration beside the median of those of its mode before it', async () => {
    const { id, source } = await integrate('trends', 3);
    source.put('users', 'bad', { cn: 'No name', uid: 'x' }, { manager: [] });
    await client.sync({ integration: id, mode: 'complete' });
    for (let n = 0; n < 4; n++) await client.sync({ integration: id, mode: 'delta' });
    const ids = (await client.runs({ integration: id })).map((run) => run.id).toReversed();
    for (const [index, ms] of [5_000, 1_000, 3_000, 100_000, 6_000].entries()) {
      await tidemark.store.pool.query(
        `update tidemark.sync_run set started_at = finished_at - $2 * interval '1 millisecond' where id = $1`,
        [ids[index], ms],
      );
    }
    await tidemark.store.pool.query(`update tidemark.sync_run set outcome = 'failed' where id = $1`, [ids[3]]);
    await tidemark.store.pool.query(`update tidemark.sync_run set streams = jsonb_set(streams, '{users,quarantined}', '1') where id = $1`, [
      ids[0],
    ]);
    const runs = (await client.runs({ integration: id })).toReversed();
    expect(runs.map(({ durationMs, trend }) => ({ durationMs, trend }))).toEqual([
      { durationMs: 5_000, trend: null },
      { durationMs: 1_000, trend: null },
      { durationMs: 3_000, trend: { runs: 1, medianMs: 1_000, ratio: 3 } },
      { durationMs: 100_000, trend: { runs: 2, medianMs: 2_000, ratio: 50 } },
      { durationMs: 6_000, trend: { runs: 2, medianMs: 2_000, ratio: 3 } },
    ]);
    expect(runs[0]?.items).toEqual({ processed: 5, succeeded: 4, failed: 1 });
  });

  it('shows markers and resets them: the next sync reads that stream completely', async () => {
    const { id } = await integrate('markers', 1);
    await client.sync({ integration: id, mode: 'auto' });
    expect(Object.keys(await client.markers(id))).toEqual(['groups', 'users']);
    expect(await client.resetMarkers(id, ['users'])).toEqual(['users']);
    expect(Object.keys(await client.markers(id))).toEqual(['groups']);
    const { run } = await client.sync({ integration: id, mode: 'delta' });
    expect(run?.streams).toMatchObject({ users: { mode: 'complete' }, groups: { mode: 'delta' } });
  });

  it('shows what is held', async () => {
    const { id, source } = await integrate('held', 30);
    await client.sync({ integration: id, mode: 'auto' });
    for (let n = 10; n <= 30; n++) source.remove(`u${n}`);
    const { run } = await client.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users?.held).toBe(21);
    const held = await client.held({ integration: id });
    expect(held.filter(({ link }) => link === null)).toHaveLength(21);
    expect(await client.held({ run: run?.id ?? '' })).toEqual(held);
    expect(held[0]).toMatchObject({ integration: id, stream: 'users', limitExceeded: expect.stringMatching(/\d/) });
  });

  it.each([
    ['syncing', () => client.sync({ integration: 'nobody', mode: 'auto' })],
    ['runs', () => client.runs({ integration: 'nobody' })],
    ['markers', () => client.markers('nobody')],
    ['objects', () => collect(client.objects('nobody'))],
  ])('%s of an integration that is not there fails with the names that are', async (_, ask) => {
    await expect(ask()).rejects.toMatchObject({
      type: 'InvalidConfiguration',
      details: { remedy: expect.stringMatching(/^There is: /) },
    });
  });
});
