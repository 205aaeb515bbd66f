import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MaintenanceRequest, MaintenanceResult } from '../../../model/maintenance.ts';
import type { RunSummary } from '../../../model/run.ts';
import { fenced } from '../../../store/fence.ts';
import { formatCursor, newestPlace } from '../../../store/sql/feed-cursor.ts';
import { purgeDeleted } from '../../../store/sql/purge-deleted.ts';
import { readChanges } from '../../../store/sql/read-changes.ts';
import { removeRuns } from '../../../store/sql/remove-runs.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { eventually, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { collect } from '../feed/support.ts';

const dayMs = 86_400_000;
const retention: MaintenanceRequest = { changesMs: 30 * dayMs, runsMs: 90 * dayMs, keepRuns: 100 };
const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
});
afterAll(async () => {
  await tidemark[Symbol.asyncDispose]();
});

async function integrate(name: string, steps = '{}'): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  for (let n = 1; n <= 4; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: n > 1 ? ['u1'] : [] });
  await tidemark.apply(`integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, steps: ${steps} } }`);
  return { id, source };
}

async function startMaintain(request = retention) {
  return tidemark.temporal.client.workflow.start('maintain', {
    workflowId: `maintain/test-${randomUUID()}`,
    taskQueue: tidemark.temporal.taskQueue,
    args: [request],
  });
}

const maintain = async (request = retention): Promise<MaintenanceResult> => (await startMaintain(request)).result();

const query = async (sql: string, ...values: readonly unknown[]) =>
  (await tidemark.store.pool.query<Record<string, unknown>>(sql, [...values])).rows;

const deleted = async (id: string) =>
  (await query(`select source_id from tidemark.object where integration_id = $1 and deleted_at is not null order by 1`, id)).map(
    (row) => row.source_id,
  );

const staged = async (runId: string | undefined) =>
  Number(
    (
      await query(
        `select (select count(*) from tidemark.staged_item where run_id = $1) + (select count(*) from tidemark.staged_seen where run_id = $1) as n`,
        runId,
      )
    )[0]?.n,
  );

const runsOf = (id: string) => query(`select id, outcome, failure from tidemark.sync_run where integration_id = $1 order by id`, id);

async function deleteLongAgo(id: string, source: ScriptedSource, ...objects: readonly string[]): Promise<void> {
  for (const object of objects) source.remove(object);
  expect((await tidemark.sync({ integration: id, mode: 'delta' })).outcome).toBe('succeeded');
  await query(
    `update tidemark.object set deleted_at = deleted_at - interval '2 days' where integration_id = $1 and deleted_at is not null`,
    id,
  );
}

const ageFeed = (id: string) =>
  query(
    `update tidemark.feed_entry set published_at = published_at - interval '31 days'
      where position <= (select max(position) from tidemark.feed_entry where integration_id = $1)`,
    id,
  );

describe('maintain', () => {
  it('removes deleted objects for good after purgeAfter, but not before their changes have left the feed', async () => {
    const { id, source } = await integrate('purge', '{ cleanup: { purgeAfter: 1d } }');
    const { id: kept, source: keptSource } = await integrate('kept');
    for (const integration of [id, kept]) await tidemark.sync({ integration, mode: 'complete' });
    source.remove('u4');
    await tidemark.sync({ integration: id, mode: 'delta' });
    await deleteLongAgo(kept, keptSource, 'u3');
    await deleteLongAgo(id, source, 'u3');
    await query(`update tidemark.object set deleted_at = now() where integration_id = $1 and source_id = 'u4'`, id);
    expect(await maintain()).toMatchObject({ objects: 0, changes: 0 });
    expect(await deleted(id)).toEqual(['u3', 'u4']);
    await ageFeed(id);
    const result = await maintain();
    expect(result).toMatchObject({ objects: 1, busy: [] });
    expect(result.changes).toBeGreaterThan(0);
    expect(await deleted(id)).toEqual(['u4']);
    expect(await deleted(kept)).toEqual(['u3']);
    expect(await maintain()).toMatchObject({ objects: 0, changes: 0 });
    source.put('users', 'u3', { uid: 'user3', cn: 'Back' }, { manager: ['u1'] });
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run?.streams.users).toMatchObject({ created: 1, restored: 0 });
  });

  it('does not touch deleted objects while a run is open, and says that it waits', async () => {
    const { id, source } = await integrate('busy', '{ cleanup: { purgeAfter: 1d } }');
    await tidemark.sync({ integration: id, mode: 'complete' });
    await deleteLongAgo(id, source, 'u2');
    await ageFeed(id);
    await maintain({ ...retention });
    expect(await deleted(id)).toEqual([]);
    await deleteLongAgo(id, source, 'u3');
    await ageFeed(id);
    await query(`delete from tidemark.change`);
    source.put('users', 'u3', { uid: 'user3', cn: 'Back' }, { manager: [] });
    const gate = source.stall();
    const launcher = await tidemark.launch({ integration: id, mode: 'delta' });
    await gate.reached;
    const handle = await startMaintain();
    await eventually('maintenance that waits for the run', async () => {
      const { events } = await handle.fetchHistory();
      return events?.some(({ timerStartedEventAttributes }) => timerStartedEventAttributes != null);
    });
    expect(await purgeDeleted(tidemark.store.pool, id, dayMs, 100)).toBe('busy');
    expect(await deleted(id)).toEqual(['u3']);
    gate.open();
    const { run } = await tidemark.ending(launcher);
    expect(run?.streams.users).toMatchObject({ restored: 1 });
    expect((await objectsOf(tidemark.store, id)).map(({ sourceId }) => sourceId)).toContain('u3');
    await handle.terminate();
  });

  it('records the end of a run that was terminated with its launcher, publishes what it had changed, and shuts out what it still sends', async () => {
    const { id, source } = await integrate('terminated');
    await tidemark.sync({ integration: id, mode: 'complete' });
    const after = formatCursor(await newestPlace(tidemark.store.pool));
    source.put('users', 'u1', { uid: 'user1', cn: 'Changed' }, { manager: [] });
    source.put('users', 'u2', { uid: 'user2', cn: 'Changed' }, { manager: [] });
    source.stallAfterPages = 1;
    const gate = source.stall();
    for (let n = 5; n < 12; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: [] });
    const launcher = await tidemark.launch({ integration: id, mode: 'delta' });
    await gate.reached;
    const [claim] = await query(`select run_epoch, claimed_by, claimed_run, step_tokens from tidemark.integration where id = $1`, id);
    const runId = claim?.claimed_run as string;
    await eventually('staged rows', async () => (await staged(runId)) > 0);
    expect(await maintain()).toMatchObject({ closedRuns: 0, stagedRows: 0 });
    await query(
      `insert into tidemark.change (run_id, object_id, kind) select $2, id, 'updated' from tidemark.object where integration_id = $1`,
      id,
      runId,
    );
    const { client } = tidemark.temporal;
    await client.workflow.getHandle(launcher).terminate();
    await client.workflow.getHandle(`sync/${id}`).terminate();
    expect(await collect(readChanges(tidemark.store.pool, after))).toEqual([]);
    expect(await maintain()).toMatchObject({ closedRuns: 1 });
    expect((await collect(readChanges(tidemark.store.pool, after))).map(({ run }) => run)).toEqual(Array(4).fill(runId));
    expect((await runsOf(id)).at(-1)).toMatchObject({ id: runId, outcome: 'failed', failure: { type: 'Terminated' } });
    expect(await staged(runId)).toBe(0);
    const [step, token] = Object.entries(claim?.step_tokens as Record<string, string>).find(([name]) => name === 'query/users') ?? ['', ''];
    expect(token).not.toBe('');
    const zombie = {
      claim: { integration: id, runId, epoch: claim?.run_epoch as string, temporalRunId: claim?.claimed_by as string },
      step,
      token,
    };
    await expect(fenced(tidemark.store.pool, zombie, 'shared', async () => undefined)).rejects.toMatchObject({ type: 'StaleRun' });
    gate.open();
    source.stallAfterPages = 0;
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.streams.users).toMatchObject({ updated: 2, created: 7 });
  });

  it('removes staged rows of runs that are not open, and no others', async () => {
    const { id, source } = await integrate('leftovers');
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    source.stallAfterPages = 1;
    const gate = source.stall();
    for (let n = 5; n < 12; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: [] });
    const launcher = await tidemark.launch({ integration: id, mode: 'complete' });
    await gate.reached;
    const open = (await runsOf(id)).at(-1)?.id as string;
    for (const [runId, rows] of [
      [run?.id, 12_000],
      ['999999', 3],
      [open, 2],
    ] as const) {
      await query(
        `insert into tidemark.staged_item (run_id, token, seq, stream, kind, source_id) select $1, 'x', n, 'users', 'object', n from generate_series(1, $2::int) n`,
        runId,
        rows,
      );
    }
    await query(
      `insert into tidemark.staged_verdict (run_id, token, seq, stream, source_id, verdict, links, members) values ($1, 'x', 1, 'users', '1', 'new', false, false)`,
      run?.id,
    );
    await query(
      `insert into tidemark.staged_touched select (jsonb_populate_record(null::tidemark.staged_touched, jsonb_build_object('run_id', $1::bigint, 'token', 'x', 'stream', 'users', 'source_id', 'u1'))).*`,
      run?.id,
    );
    const before = await staged(open);
    expect(before).toBeGreaterThan(2);
    expect(await maintain()).toMatchObject({ closedRuns: 0, stagedRows: 12_005 });
    expect(await staged(open)).toBe(before);
    gate.open();
    source.stallAfterPages = 0;
    expect((await tidemark.ending(launcher)).outcome).toBe('succeeded');
  });

  it('removes old runs, but for the newest, the last good ones, and those that something refers to', async () => {
    const { id, source } = await integrate('runs');
    await tidemark.sync({ integration: id, mode: 'complete' });
    const marked = (await runsOf(id))[0]?.id as string;
    const add = async (outcome: string, mode: string | null) =>
      (
        await query(
          `insert into tidemark.sync_run (integration_id, workflow_id, temporal_run_id, requested_mode, mode, outcome, requested_at, finished_at)
           values ($1, 'w', $2, 'auto', $3, $4, now(), now()) returning id`,
          ...[id, randomUUID(), mode, outcome],
        )
      )[0]?.id as string;
    const complete = await add('succeeded', 'complete');
    const held = await add('failed', 'delta');
    const quarantined = await add('failed', 'delta');
    const succeeded = await add('succeeded', 'delta');
    const plain = [await add('failed', 'delta'), await add('skipped', null), await add('cancelled', 'delta')];
    const running = await add('running', 'delta');
    const newest = [await add('skipped', null), await add('failed', null)];
    const [object] = await query(`select id from tidemark.object where integration_id = $1 limit 1`, id);
    await query(
      `insert into tidemark.held_deletion (integration_id, stream, object_id, reason, limit_exceeded, first_run_id, last_run_id) values ($1, 'users', $2, 'gone', 'x', $3, $3)`,
      ...[id, object?.id, held],
    );
    await query(
      `insert into tidemark.quarantine (integration_id, stream, source_id, reason, first_run_id, last_run_id) values ($1, 'users', 'q', 'x', $2, $2)`,
      ...[id, quarantined],
    );
    const remove = (runsMs: number, keepRuns: number) => removeRuns(tidemark.store.pool, id, { runsMs, keepRuns }, 2);
    expect(await remove(90 * dayMs, 2)).toBe(0);
    await query(`update tidemark.sync_run set finished_at = finished_at - interval '91 days' where integration_id = $1`, id);
    expect(await remove(90 * dayMs, 6)).toBe(0);
    expect(await remove(90 * dayMs, 2)).toBe(2);
    expect(await remove(90 * dayMs, 2)).toBe(1);
    expect(await remove(90 * dayMs, 2)).toBe(0);
    expect((await runsOf(id)).map((row) => row.id)).toEqual([marked, complete, held, quarantined, succeeded, running, ...newest]);
    expect(plain).toHaveLength(3);
    await query(`delete from tidemark.held_deletion where integration_id = $1`, id);
    await query(`delete from tidemark.quarantine where integration_id = $1`, id);
    await query(`delete from tidemark.sync_run where id = $1`, running);
    expect((await maintain({ ...retention, keepRuns: 2 })).runs).toBe(2);
    source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: [] });
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    const marker = (await query(`select run_id from tidemark.marker where integration_id = $1`, id)).map((row) => row.run_id);
    expect(new Set(marker)).toEqual(new Set([(run as RunSummary).id]));
    // The first run's changes are still in the feed.
    expect((await runsOf(id)).map((row) => row.id)).toContain(marked);
    await query(`update tidemark.sync_run set finished_at = finished_at - interval '91 days' where id = $1`, marked);
    await ageFeed(id);
    await maintain({ ...retention, keepRuns: 1 });
    expect((await runsOf(id)).map((row) => row.id)).not.toContain(marked);
  });
});
