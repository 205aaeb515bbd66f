import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LaunchRequest } from '../../../model/run.ts';
import { syncWorkflowId } from '../../../model/workflow-ids.ts';
import { readMarkers } from '../../../store/markers.ts';
import { type Gate, ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { type Ending, eventually, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const rounds = 100;

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
});
afterAll(async () => {
  for (const source of sources.values()) source.stall().open();
  await tidemark[Symbol.asyncDispose]();
});

async function integrate(name: string): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  for (let n = 1; n <= 4; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: [] });
  await tidemark.apply(`integrations: { ${id}: { connector: scripted, settings: { source: ${id} } } }`);
  await tidemark.sync({ integration: id, mode: 'complete' });
  return { id, source };
}

/** A run of this mode that stands still inside its reading until the gate opens. */
async function hold(id: string, source: ScriptedSource, mode: 'complete' | 'delta'): Promise<{ launcher: string; gate: Gate }> {
  const gate = source.stall();
  const launcher = await tidemark.launch({ integration: id, mode });
  await gate.reached;
  return { launcher, gate };
}

const handleOf = (workflowId: string) => tidemark.temporal.client.workflow.getHandle(workflowId);

/** Waits until a launcher shows in Temporal that it waits for its turn. */
function isWaiting(launcher: string): Promise<unknown> {
  return eventually('waiting', async () => {
    const { raw, status } = await handleOf(launcher).describe();
    if (status.name !== 'RUNNING') throw new Error(`launcher ${launcher} is ${status.name}, not waiting`);
    return raw.pendingActivities?.some((activity) => activity.activityType?.name === 'awaitClose');
  });
}

async function recorded(launcher: string): Promise<{ outcome: string; mode: string | null; reason: string | null } | undefined> {
  const { rows } = await tidemark.store.pool.query(`select outcome, mode, reason from tidemark.sync_run where launcher_id = $1`, [
    launcher,
  ]);
  expect(rows.length).toBeLessThanOrEqual(1);
  return rows[0];
}

interface Interval {
  readonly from: number;
  readonly to: number;
}

/** Open times of every run of an integration, as Temporal has them. */
async function runsInTemporal(id: string): Promise<readonly Interval[]> {
  const found: Interval[] = [];
  for await (const run of tidemark.temporal.client.workflow.list({ query: `WorkflowId = '${syncWorkflowId(id)}'` })) {
    found.push({ from: run.startTime.getTime(), to: run.closeTime?.getTime() ?? Number.POSITIVE_INFINITY });
  }
  return found.sort((a, b) => a.from - b.from);
}

describe('of one integration', () => {
  it('a delta and an auto request that meet a run are skipped, and say what was running', async () => {
    const { id, source } = await integrate('skip');
    const { launcher, gate } = await hold(id, source, 'complete');
    for (const mode of ['delta', 'auto'] as const) {
      const ending = await tidemark.sync({ integration: id, mode });
      expect(ending).toMatchObject({
        outcome: 'skipped',
        reason: expect.stringMatching(/run \d+ \(complete\) of .* was running/),
        run: { outcome: 'skipped' },
      });
    }
    gate.open();
    expect((await tidemark.ending(launcher)).outcome).toBe('succeeded');
  });

  it('a complete request that meets a delta waits, and runs when the delta has ended', async () => {
    const { id, source } = await integrate('wait');
    const { launcher, gate } = await hold(id, source, 'delta');
    const waiting = await tidemark.launch({ integration: id, mode: 'complete' });
    await isWaiting(waiting);
    gate.open();
    expect((await tidemark.ending(launcher)).run?.mode).toBe('delta');
    expect((await tidemark.ending(waiting)).run).toMatchObject({ mode: 'complete', outcome: 'succeeded' });
  });

  it('completes that wait for a complete that began before them run once, and that one covers the others', async () => {
    const { id, source } = await integrate('cover');
    const { gate } = await hold(id, source, 'complete');
    const waiting = await Promise.all([1, 2, 3].map(() => tidemark.launch({ integration: id, mode: 'complete' })));
    await Promise.all(waiting.map(isWaiting));
    gate.open();
    const endings = await Promise.all(waiting.map((launcher) => tidemark.ending(launcher)));
    expect(endings.filter(({ outcome }) => outcome === 'succeeded')).toHaveLength(1);
    const ran = endings.find(({ outcome }) => outcome === 'succeeded')?.run?.id;
    for (const { outcome, reason } of endings.filter((ending) => ending.outcome !== 'succeeded')) {
      expect({ outcome, reason }).toEqual({ outcome: 'skipped', reason: expect.stringContaining(`covered by complete run ${ran}`) });
    }
  });

  it('a waiting complete is not covered by one of fewer streams', async () => {
    const { id, source } = await integrate('partial');
    const { gate } = await hold(id, source, 'delta');
    const partial = await tidemark.launch({ integration: id, mode: 'complete', streams: ['users'] });
    await isWaiting(partial);
    const whole = await tidemark.launch({ integration: id, mode: 'complete' });
    await isWaiting(whole);
    gate.open();
    expect((await tidemark.ending(whole)).outcome).toBe('succeeded');
    expect(['succeeded', 'skipped']).toContain((await tidemark.ending(partial)).outcome);
  });

  it('a run under another workflow id than its own fails at once', async () => {
    const { id } = await integrate('guard');
    const request = { integration: id, mode: 'delta', launcherId: 'by-hand', requestedAt: new Date().toISOString() };
    const started = tidemark.temporal.client.workflow.execute('syncIntegration', {
      workflowId: `by-hand-${id}`,
      taskQueue: tidemark.temporal.taskQueue,
      args: [request],
    });
    await expect(started).rejects.toMatchObject({
      cause: { type: 'InvalidConfiguration', message: expect.stringContaining('Start launchSync instead') },
    });
  });

  it('a cancelled launcher cancels its run: staging gone, markers untouched, recorded as cancelled', async () => {
    const { id, source } = await integrate('cancel');
    const before = await readMarkers(tidemark.store, id);
    source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: [] });
    source.stallAfterPages = 1;
    const { launcher, gate } = await hold(id, source, 'complete');
    await handleOf(launcher).cancel();
    expect(await tidemark.ending(launcher)).toMatchObject({ outcome: 'cancelled' });
    gate.open();
    source.stallAfterPages = 0;
    expect(await recorded(launcher)).toMatchObject({ outcome: 'cancelled' });
    expect([...(await readMarkers(tidemark.store, id))]).toEqual([...before]);
    const { rows } = await tidemark.store.pool.query(
      `select count(*)::int as n from tidemark.staged_item s join tidemark.sync_run r on r.id = s.run_id where r.integration_id = $1`,
      [id],
    );
    expect(rows).toEqual([{ n: 0 }]);
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.streams).toMatchObject({ users: { created: 1 } });
  });

  it('a run that is cancelled itself ends its launcher as cancelled', async () => {
    const { id, source } = await integrate('cancel-run');
    const { launcher, gate } = await hold(id, source, 'delta');
    await handleOf(syncWorkflowId(id)).cancel();
    expect((await tidemark.ending(launcher)).outcome).toBe('cancelled');
    gate.open();
    expect(await recorded(launcher)).toMatchObject({ outcome: 'cancelled' });
  });

  it('a terminated run is recorded with its reason, and its worker can write nothing more', async () => {
    const { id, source } = await integrate('terminate');
    source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: [] });
    const { launcher, gate } = await hold(id, source, 'delta');
    await handleOf(syncWorkflowId(id)).terminate('by the test');
    expect(await tidemark.ending(launcher)).toMatchObject({
      outcome: 'failed',
      failure: { type: 'Terminated' },
      run: { failure: { type: 'Terminated' } },
    });
    gate.open();
    const next = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(next.run?.streams).toMatchObject({ users: { created: 1 } });
    expect((await handleOf(launcher).describe()).searchAttributes).toMatchObject({ SyncOutcome: ['failed'], SyncMode: ['delta'] });
  });

  it('a terminated launcher leaves its run to end by itself', async () => {
    const { id, source } = await integrate('abandon');
    source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: [] });
    const { launcher, gate } = await hold(id, source, 'delta');
    await handleOf(launcher).terminate('by the test');
    gate.open();
    await handleOf(syncWorkflowId(id)).result();
    expect(await recorded(launcher)).toMatchObject({ outcome: 'succeeded' });
  });

  it('a run that was reset begins again and ends well', async () => {
    const { id, source } = await integrate('reset');
    source.put('users', 'u9', { uid: 'user9', cn: 'User 9' }, { manager: [] });
    const { gate } = await hold(id, source, 'delta');
    const { runId } = await handleOf(syncWorkflowId(id)).describe();
    const history = await handleOf(syncWorkflowId(id)).fetchHistory();
    const afterBegin = history.events?.filter((event) => event.workflowTaskCompletedEventAttributes)[1]?.eventId;
    await tidemark.temporal.client.workflowService.resetWorkflowExecution({
      namespace: tidemark.temporal.namespace,
      workflowExecution: { workflowId: syncWorkflowId(id), runId },
      workflowTaskFinishEventId: afterBegin ?? null,
      requestId: id,
      reason: 'by the test',
    });
    gate.open();
    await handleOf(syncWorkflowId(id)).result();
    const { rows } = await tidemark.store.pool.query(
      `select outcome from tidemark.sync_run where integration_id = $1 order by id desc limit 1`,
      [id],
    );
    expect(rows).toEqual([{ outcome: 'succeeded' }]);
    expect((await tidemark.sync({ integration: id, mode: 'complete' })).run?.streams).toMatchObject({
      users: { created: 0, updated: 0, deleted: 0 },
    });
  });
});

describe(`${rounds} rounds of requests from many clients`, () => {
  it('never open two runs, give every request its own ending, and lose no complete', async () => {
    const seed = Number(process.env.TIDEMARK_SEED ?? Date.now() % 2 ** 31);
    console.info(`exclusion rounds: TIDEMARK_SEED=${seed}`);
    const { id, source } = await integrate('rounds');
    const round = fc.record({
      holder: fc.constantFrom('complete' as const, 'delta' as const),
      requests: fc.array(fc.constantFrom('complete' as const, 'delta' as const, 'auto' as const), { minLength: 3, maxLength: 6 }),
      disturbance: fc.constantFrom('none', 'none', 'cancel-waiting', 'terminate-waiting', 'cancel-holder', 'terminate-run'),
    });
    const counts: Record<string, number> = {};
    for (const [index, { holder, requests, disturbance }] of fc.sample(round, { seed, numRuns: rounds }).entries()) {
      const at = `round ${index} of seed ${seed} (${holder}, ${disturbance})`;
      source.put('users', `r${index}`, { uid: `round${index}`, cn: 'Round' }, { manager: [] });
      const { launcher: holding, gate } = await hold(id, source, holder);
      const launched = await Promise.all(
        requests.map(async (mode) => ({ mode, launcher: await tidemark.launch({ integration: id, mode } satisfies LaunchRequest) })),
      );
      const deltas = launched.filter(({ mode }) => mode !== 'complete');
      const completes = launched.filter(({ mode }) => mode === 'complete');
      for (const { launcher } of deltas) expect((await tidemark.ending(launcher)).outcome, at).toBe('skipped');
      await Promise.all(completes.map(({ launcher }) => isWaiting(launcher)));
      const victim = completes[0]?.launcher;
      if (disturbance === 'cancel-waiting' && victim) await handleOf(victim).cancel();
      if (disturbance === 'terminate-waiting' && victim) await handleOf(victim).terminate('by the test');
      if (disturbance === 'cancel-holder') await handleOf(holding).cancel();
      if (disturbance === 'terminate-run') await handleOf(syncWorkflowId(id)).terminate('by the test');
      gate.open();
      const endings = await Promise.all(
        [holding, ...completes.map(({ launcher }) => launcher)].map(
          async (launcher) => [launcher, await tidemark.ending(launcher)] as const,
        ),
      );
      for (const [launcher, ending] of endings) {
        const expected = expectedEndings(launcher, { holding, victim, disturbance });
        expect(expected, `${at}: ${JSON.stringify(ending)}`).toContain(ending.outcome);
        if (ending.outcome !== 'terminated') expect(await recorded(launcher), at).toMatchObject({ outcome: ending.outcome });
        if (launcher !== holding) expect(isComplete(ending), `${at}: ${JSON.stringify(ending)}`).toBe(true);
        counts[ending.outcome] = (counts[ending.outcome] ?? 0) + 1;
      }
      counts.skipped = (counts.skipped ?? 0) + deltas.length;
    }
    const { rows } = await tidemark.store.pool.query(
      `select count(*)::int as n from tidemark.sync_run where integration_id = $1 and workflow_id like 'sync/%'`,
      [id],
    );
    const runs = await eventually('all runs in visibility', async () => {
      const found = await runsInTemporal(id);
      return found.length >= rows[0].n && found.every(({ to }) => Number.isFinite(to)) && found;
    });
    for (const [index, run] of runs.entries()) {
      const next = runs[index + 1];
      if (next) expect(run.to, 'a run closed before the next opened').toBeLessThanOrEqual(next.from);
    }
    console.info(`exclusion rounds: ${rounds} rounds, ${runs.length} runs, endings ${JSON.stringify(counts)}`);
    // A last round whose runs were all cancelled or terminated leaves its object to the next run, which has to be a delta.
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).outcome).toBe('succeeded');
    const last = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(last.run?.streams.users).toMatchObject({ created: 0, updated: 0, deleted: 0 });
  }, 900_000);
});

interface Round {
  readonly holding: string;
  readonly victim: string | undefined;
  readonly disturbance: string;
}

function expectedEndings(launcher: string, { holding, victim, disturbance }: Round): readonly Ending['outcome'][] {
  if (launcher === holding) {
    if (disturbance === 'cancel-holder') return ['cancelled'];
    return disturbance === 'terminate-run' ? ['failed'] : ['succeeded'];
  }
  if (launcher === victim && disturbance === 'cancel-waiting') return ['cancelled'];
  if (launcher === victim && disturbance === 'terminate-waiting') return ['terminated'];
  return ['succeeded', 'skipped'];
}

/** A complete request that was left alone has run completely or was covered by one that did. */
function isComplete({ outcome, reason, run }: Ending): boolean {
  if (outcome === 'succeeded') return run?.mode === 'complete';
  return outcome !== 'skipped' || /^covered by complete run \d+/.test(reason ?? '');
}
