import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Connector } from '../../connectors/connector.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import { askExplanation } from '../../store/explain-requests.ts';
import { showPlans } from '../../store/sql/held-plans.ts';
import { loseStaging } from '../support/lose-staging.ts';
import { ScriptedSource, scriptedConnector } from '../support/scripted-source.ts';
import { eventually, startTidemark, type TestTidemark } from '../support/tidemark.ts';
import { type HistoryJson, writeHistory } from './history-file.ts';

/** Plays each case against real servers and writes down its histories; run by hand with `record.config.ts` after the workflows changed. */
const sources = new Map<string, ScriptedSource>();
/** What a case does when its source is opened, by integration; begin opens it first, then the query of each stream that is read completely, that of all others, then the re-read. */
const onOpen = new Map<string, () => Promise<void> | void>();
let tidemark: TestTidemark;

beforeAll(async () => {
  const scripted = scriptedConnector(sources);
  const connector: typeof scripted = {
    ...scripted,
    async open(options) {
      await onOpen.get(options.settings.source)?.();
      return scripted.open(options);
    },
  };
  tidemark = await startTidemark([connector as Connector]);
});
afterAll(async () => {
  await tidemark[Symbol.asyncDispose]();
});

async function integrate(id: string, steps = '{}'): Promise<ScriptedSource> {
  const source = new ScriptedSource(id);
  sources.set(id, source);
  await tidemark.apply(
    `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} }, steps: ${steps} } }`,
  );
  put(source, 3);
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3'] });
  return source;
}

function put(source: ScriptedSource, n: number): void {
  for (let user = 1; user <= n; user++) source.put('users', `u${user}`, { uid: `user${user}`, cn: `User ${user}` }, { manager: [] });
}

async function record(name: string, workflowId: string): Promise<void> {
  const history = await tidemark.temporal.client.workflow.getHandle(workflowId).fetchHistory();
  await writeHistory(name, JSON.parse(historyToJSON(history)) as HistoryJson);
}

/** Records the newest run of an integration. */
async function recordRun(name: string, integration: string): Promise<void> {
  await record(name, syncWorkflowId(integration));
}

async function untilWaiting(launcherId: string): Promise<void> {
  await eventually('waiting', async () => {
    const { raw } = await tidemark.temporal.client.workflow.getHandle(launcherId).describe();
    return raw.pendingActivities?.some((activity) => activity.activityType?.name === 'awaitClose');
  });
}

async function cancel(workflowId: string): Promise<void> {
  await tidemark.temporal.client.workflow.getHandle(workflowId).cancel();
}

it('complete, delta with news, empty delta, auto', async () => {
  const integration = 'plain';
  const source = await integrate(integration);
  const complete = await tidemark.launch({ integration, mode: 'complete' });
  expect(await tidemark.ending(complete)).toMatchObject({ outcome: 'succeeded', run: { mode: 'complete' } });
  await record('launch-complete-runs', complete);
  await recordRun('sync-complete', integration);
  source.put('users', 'u4', { uid: 'user4', cn: 'User 4' }, { manager: ['u1'] });
  source.remove('u2');
  const delta = await tidemark.launch({ integration, mode: 'delta' });
  expect(await tidemark.ending(delta)).toMatchObject({ outcome: 'succeeded', run: { mode: 'delta' } });
  await record('launch-delta-runs', delta);
  await recordRun('sync-delta', integration);
  const auto = await tidemark.launch({ integration, mode: 'auto' });
  expect(await tidemark.ending(auto)).toMatchObject({ outcome: 'succeeded', run: { mode: 'delta' } });
  await record('launch-auto-runs', auto);
  const empty = await tidemark.ending(await tidemark.launch({ integration, mode: 'delta', streams: ['users'] }));
  expect(Object.keys(empty.run?.steps ?? {}).sort()).toEqual(['begin', 'query']);
  await recordRun('sync-delta-empty', integration);
});

it('dry run', async () => {
  const integration = 'dry';
  await integrate(integration);
  expect(await tidemark.sync({ integration, mode: 'auto', dryRun: true })).toMatchObject({ outcome: 'succeeded', run: { dryRun: true } });
  await recordRun('sync-dry-run', integration);
});

it('delta and auto that meet a running complete, and a delta', async () => {
  const integration = 'busy';
  const source = await integrate(integration);
  for (const mode of ['complete', 'delta'] as const) {
    const gate = source.stall();
    const running = await tidemark.launch({ integration, mode });
    await gate.reached;
    for (const late of ['delta', 'auto'] as const) {
      const launcher = await tidemark.launch({ integration, mode: late });
      expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining(mode) });
      await record(`launch-${late}-skipped-${mode}-runs`, launcher);
    }
    gate.open();
    expect(await tidemark.ending(running)).toMatchObject({ outcome: 'succeeded' });
  }
});

it('complete that waits, then runs; and one that waits, loses the race, waits again and is covered', async () => {
  const integration = 'queue';
  const source = await integrate(integration);
  const gate = source.stall();
  const running = await tidemark.launch({ integration, mode: 'complete' });
  await gate.reached;
  const waiting = [await tidemark.launch({ integration, mode: 'complete' }), await tidemark.launch({ integration, mode: 'complete' })];
  await Promise.all(waiting.map(untilWaiting));
  gate.open();
  expect(await tidemark.ending(running)).toMatchObject({ outcome: 'succeeded' });
  const endings = await Promise.all(waiting.map((launcher) => tidemark.ending(launcher)));
  expect(endings.map(({ outcome }) => outcome).sort()).toEqual(['skipped', 'succeeded']);
  for (const [index, { outcome }] of endings.entries()) {
    await record(outcome === 'skipped' ? 'launch-complete-waits-loses-covered' : 'launch-complete-waits-runs', waiting[index] as string);
  }
});

it('complete that waits and is covered at once: it was asked for before the run in its way began', async () => {
  const integration = 'covered';
  await integrate(integration);
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  const failure = new TidemarkFailure('SourceUnavailable', 'the line was cut');
  let opens = 0;
  onOpen.set(integration, async () => {
    if (++opens > 1) return;
    reached.resolve();
    await opened.promise;
    // The second attempt begins after the other request was made.
    throw failure;
  });
  const running = await tidemark.launch({ integration, mode: 'complete' });
  await reached.promise;
  const waiting = await tidemark.launch({ integration, mode: 'complete' });
  await untilWaiting(waiting);
  opened.resolve();
  expect(await tidemark.ending(running)).toMatchObject({ outcome: 'succeeded' });
  expect(await tidemark.ending(waiting)).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining('covered') });
  await record('launch-complete-waits-covered', waiting);
});

it('late delta', async () => {
  const integration = 'late';
  await integrate(integration);
  const launcher = await tidemark.launch({ integration, mode: 'delta', lateAfterMs: 0 });
  expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining('late') });
  await record('launch-delta-late', launcher);
});

it('identities: complete, delta with news, empty delta, and one that meets a run', async () => {
  const people = new ScriptedSource('people');
  sources.set('people', people);
  put(people, 3);
  await tidemark.apply(
    `integrations: { people: { connector: scripted, settings: { source: people }, streams: { users: {} } } }
identities: { sources: { people/users: { authoritative: true } }, attributes: { displayName: [people/users] } }`,
  );
  await tidemark.sync({ integration: 'people', mode: 'complete' });
  const integration = 'identities';
  expect(await tidemark.sync({ integration, mode: 'auto' })).toMatchObject({ run: { mode: 'complete' } });
  await recordRun('identities-complete', integration);
  expect(await tidemark.sync({ integration, mode: 'delta' })).toMatchObject({ run: { mode: 'delta' } });
  await recordRun('identities-delta-empty', integration);
  put(people, 4);
  await tidemark.sync({ integration: 'people', mode: 'delta' });
  const delta = await tidemark.launch({ integration, mode: 'delta' });
  expect(await tidemark.ending(delta)).toMatchObject({ run: { streams: { identities: { created: 1 } } } });
  await record('launch-identities-delta-runs', delta);
  await recordRun('identities-delta', integration);
  const client = await tidemark.store.pool.connect();
  await client.query('begin; lock table tidemark.identity_pending');
  const running = await tidemark.launch({ integration, mode: 'delta' });
  await eventually(
    'a run',
    async () =>
      (await tidemark.store.pool.query(`select from tidemark.sync_run where integration_id = $1 and outcome = 'running'`, [integration]))
        .rowCount,
  );
  const late = await tidemark.launch({ integration, mode: 'delta' });
  expect(await tidemark.ending(late)).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining('delta') });
  await record('launch-identities-delta-skipped', late);
  await client.query('rollback');
  client.release();
  expect(await tidemark.ending(running)).toMatchObject({ outcome: 'succeeded' });
});

it('launcher cancelled while it waits', async () => {
  const integration = 'cancelled-waiting';
  const source = await integrate(integration);
  const gate = source.stall();
  const running = await tidemark.launch({ integration, mode: 'complete' });
  await gate.reached;
  const waiting = await tidemark.launch({ integration, mode: 'complete' });
  await untilWaiting(waiting);
  await cancel(waiting);
  expect(await tidemark.ending(waiting)).toMatchObject({ outcome: 'cancelled' });
  await record('launch-complete-cancelled-while-waiting', waiting);
  gate.open();
  await tidemark.ending(running);
});

it('launcher cancelled before its first turn', async () => {
  const { client, taskQueue } = tidemark.temporal;
  const integration = 'cancelled-early';
  await integrate(integration);
  const workflowId = `launch/${integration}/test`;
  const args = [{ integration, mode: 'complete' }];
  await client.workflow.start('launchSync', { workflowId, taskQueue, args, startDelay: '2 seconds' });
  await cancel(workflowId);
  expect(await tidemark.ending(workflowId)).toMatchObject({ outcome: 'cancelled' });
  await record('launch-complete-cancelled-before-first-turn', workflowId);
});

it('launcher cancelled while its run runs', async () => {
  const integration = 'cancelled-running';
  const source = await integrate(integration);
  const gate = source.stall();
  const launcher = await tidemark.launch({ integration, mode: 'complete' });
  await gate.reached;
  await cancel(launcher);
  expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'cancelled' });
  await record('launch-complete-cancelled-while-running', launcher);
  await recordRun('sync-cancelled', integration);
});

it('run cancelled by hand', async () => {
  const integration = 'cancelled-by-hand';
  const source = await integrate(integration);
  const gate = source.stall();
  const launcher = await tidemark.launch({ integration, mode: 'delta' });
  await gate.reached;
  await cancel(syncWorkflowId(integration));
  expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'cancelled' });
  await record('launch-delta-run-cancelled-by-hand', launcher);
});

it('run terminated by hand', async () => {
  const integration = 'terminated';
  const source = await integrate(integration);
  const gate = source.stall();
  const launcher = await tidemark.launch({ integration, mode: 'complete' });
  await gate.reached;
  await tidemark.temporal.client.workflow.getHandle(syncWorkflowId(integration)).terminate('by hand');
  expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'failed', failure: { type: 'Terminated' } });
  await record('launch-complete-terminated', launcher);
  gate.open();
});

it('run that fails with a typed failure', async () => {
  const integration = 'failing';
  const source = await integrate(integration);
  source.failures.push(new TidemarkFailure('AuthenticationFailed', 'the password is wrong', { remedy: 'Set the right one.' }));
  const launcher = await tidemark.launch({ integration, mode: 'delta' });
  expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'failed', failure: { type: 'AuthenticationFailed' } });
  await record('launch-delta-failed', launcher);
  await recordRun('sync-failed', integration);
});

it('approvals and a refusal of held deletions', async () => {
  const integration = 'held';
  const source = await integrate(integration, '{ cleanup: { limits: { count: 0, percent: 0, floor: 0 } } }');
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  const digest = async () => (await showPlans(tidemark.store.pool, integration))[0]?.digest ?? '';
  source.remove('u2');
  await tidemark.sync({ integration, mode: 'delta' });
  const declined = { digest: await digest(), by: 'alice', why: 'not yet' };
  const refusal = await tidemark.launch({ integration, mode: 'decline', decision: declined });
  expect(await tidemark.ending(refusal)).toMatchObject({ outcome: 'succeeded', run: { decision: { rows: { declined: 1 } } } });
  await record('launch-decline-runs', refusal);
  await recordRun('sync-decline', integration);
  await tidemark.sync({ integration, mode: 'complete' });
  const decision = { digest: await digest(), by: 'alice', why: 'ticket 4711' };
  const gate = source.stall();
  const running = await tidemark.launch({ integration, mode: 'complete' });
  await gate.reached;
  const approval = await tidemark.launch({ integration, mode: 'approve', decision });
  await untilWaiting(approval);
  gate.open();
  await tidemark.ending(running);
  expect(await tidemark.ending(approval)).toMatchObject({ outcome: 'succeeded', run: { decision: { rows: { applied: 1 } } } });
  await record('launch-approve-waits-runs', approval);
  await recordRun('sync-approve', integration);
  const late = await tidemark.launch({ integration, mode: 'approve', decision });
  expect(await tidemark.ending(late)).toMatchObject({ outcome: 'failed', failure: { type: 'PlanChanged' } });
  await record('launch-approve-plan-changed', late);
  await recordRun('sync-approve-plan-changed', integration);
});

it('malformed request', async () => {
  const launcher = await tidemark.launch({ integration: 'malformed', mode: 'sometimes' as never });
  expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'failed', failure: { type: 'InvalidConfiguration' } });
  await record('launch-malformed', launcher);
});

it('run under a wrong workflow id', async () => {
  const { client, taskQueue } = tidemark.temporal;
  const workflowId = 'sync-by-hand';
  const request = { integration: 'plain', mode: 'delta', launcherId: workflowId, requestedAt: new Date().toISOString() };
  await client.workflow.start('syncIntegration', { workflowId, taskQueue, args: [request] });
  expect(await tidemark.ending(workflowId)).toMatchObject({ outcome: 'failed', failure: { type: 'InvalidConfiguration' } });
  await record('sync-wrong-id', workflowId);
});

it('run that begins again because its staging was lost', async () => {
  const integration = 'staging-lost';
  const source = await integrate(integration);
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  source.remove('u3');
  let opens = 0;
  onOpen.set(integration, async () => {
    if (++opens === 4) await loseStaging(tidemark.store.pool);
  });
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  await recordRun('sync-begins-again-staging-lost', integration);
});

it('run that begins again because the server changed', async () => {
  const integration = 'server-changed';
  const source = await integrate(integration);
  let opens = 0;
  onOpen.set(integration, () => {
    if (++opens === 2) source.serverId = 'server-2';
  });
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  await recordRun('sync-begins-again-server-changed', integration);
});

it('runs with steps disabled', async () => {
  const steps = ['query', 'transform', 'lookup', 'upsert', 'membership', 'cleanup'];
  for (const step of steps) {
    const integration = `without-${step}`;
    await integrate(integration, `{ ${step}: { enabled: false } }`);
    expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
    await recordRun(`sync-without-${step}`, integration);
  }
});

it('remap, and a delta that maps what is stored anew', async () => {
  const integration = 'remapped';
  await integrate(integration);
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  const map = (title: string) =>
    tidemark.apply(
      `integrations: { ${integration}: { connector: scripted, settings: { source: ${integration} }, streams: { users: { mapping: { title: ${title} } }, groups: {} } } }`,
    );
  await map('source.cn');
  expect(await tidemark.sync({ integration, mode: 'remap' })).toMatchObject({ outcome: 'succeeded' });
  await recordRun('sync-remap', integration);
  await map('source.uid');
  expect(await tidemark.sync({ integration, mode: 'delta' })).toMatchObject({ outcome: 'succeeded' });
  await recordRun('sync-delta-remaps', integration);
});

it('run whose source is reached through a task queue of its own', async () => {
  const integration = 'elsewhere';
  const source = new ScriptedSource(integration);
  sources.set(integration, source);
  put(source, 1);
  await tidemark.apply(
    `integrations: { ${integration}: { connector: scripted, taskQueue: ${tidemark.temporal.taskQueue}, settings: { source: ${integration} }, streams: { users: {} } } }`,
  );
  expect(await tidemark.sync({ integration, mode: 'auto' })).toMatchObject({ outcome: 'succeeded' });
  await recordRun('sync-own-task-queue', integration);
});

it('one object explained', async () => {
  const { client, taskQueue } = tidemark.temporal;
  const integration = 'explained';
  await integrate(integration);
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  const request = await askExplanation(tidemark.store.pool, { integration, stream: 'users', key: 'u1' });
  const workflowId = `explain/${integration}/${request}`;
  await client.workflow.execute('explainObject', { workflowId, taskQueue, args: [{ request }] });
  await record('explain-object', workflowId);
});

it('maintenance, and one that waits for an open run', async () => {
  const { client, taskQueue } = tidemark.temporal;
  const integration = 'maintained';
  const source = await integrate(integration, '{ cleanup: { purgeAfter: 1d } }');
  expect(await tidemark.sync({ integration, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  const start = async (workflowId: string) => {
    await client.workflow.start('maintain', { workflowId, taskQueue, args: [{ changesMs: 1, runsMs: 86_400_000, keepRuns: 100 }] });
    return client.workflow.getHandle(workflowId);
  };
  await (await start('maintain-alone')).result();
  await record('maintain', 'maintain-alone');
  source.remove('u2');
  expect(await tidemark.sync({ integration, mode: 'delta' })).toMatchObject({ outcome: 'succeeded' });
  await tidemark.store.pool.query(`update tidemark.object set deleted_at = deleted_at - interval '2 days' where integration_id = $1`, [
    integration,
  ]);
  const gate = source.stall();
  const running = await tidemark.launch({ integration, mode: 'delta' });
  await gate.reached;
  const waiting = await start('maintain-beside-a-run');
  await eventually('a timer', async () =>
    (await waiting.fetchHistory()).events?.some(({ timerStartedEventAttributes }) => timerStartedEventAttributes != null),
  );
  await record('maintain-waits', 'maintain-beside-a-run');
  await waiting.terminate();
  gate.open();
  expect(await tidemark.ending(running)).toMatchObject({ outcome: 'succeeded' });
});
