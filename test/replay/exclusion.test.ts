import { DeterminismViolationError } from '@temporalio/workflow';
import { describe, expect, it } from 'vitest';
import { isDecision } from '../../model/requests.ts';
import type { RequestedMode } from '../../model/run.ts';
import { buildHistory, type EventId, type HistoryBuilder } from './history-builder.ts';
import { replay } from './replay.ts';

/** Each cell of the exclusion table of the launcher, as the history that it must leave, and beside it histories that it must not leave. */
const integration = 'corp-ad';
const shown = { IntegrationId: integration };

type Open = 'delta' | 'complete';

function launcher(mode: RequestedMode, lateAfterMs?: number, searchAttributes: Readonly<Record<string, string>> = {}): HistoryBuilder {
  const request = {
    integration,
    mode,
    ...(lateAfterMs === undefined ? {} : { lateAfterMs }),
    ...(isDecision(mode) ? { decision: { digest: '3f2a9c0d51b7e864', by: 'alice', why: '' } } : {}),
  };
  return buildHistory({ workflowType: 'launchSync', workflowId: 'launch/corp-ad/scripted', input: [request], searchAttributes });
}

/** The first turn: the request is shown, the integration looked at, and a run asked for. */
function asks(history: HistoryBuilder, mode: RequestedMode, open: Open | null): EventId {
  history.task();
  history.upsertSearchAttributes({ ...shown, SyncMode: mode });
  looks(history, open);
  history.upsertSearchAttributes({ ConnectorType: 'scripted' });
  return asksForRun(history);
}

function looks(history: HistoryBuilder, open: Open | null): void {
  history.localActivity('describeIntegration', {
    connectorType: 'scripted',
    sourceTaskQueue: null,
    running: open ? { id: '7', mode: open } : null,
  });
}

function asksForRun(history: HistoryBuilder): EventId {
  return history.childInitiated('syncIntegration', `sync/${integration}`);
}

/** The run that was asked for starts, and the launcher begins to wait for it. Returns the timer that ends with a look whether it is there. */
function starts(history: HistoryBuilder, run: EventId): EventId {
  history.childStarted(run);
  history.task();
  return history.timerStarted();
}

/** A while after the run has started the launcher looks whether it is there to be waited for. */
function looksForRun(history: HistoryBuilder, timer: EventId, carried: boolean): void {
  history.later(10_000);
  history.timerFired(timer);
  history.task();
  history.localActivity('isCarried', carried);
}

/** The run that was asked for starts and succeeds, and so does the launcher. */
function carries(history: HistoryBuilder, run: EventId): void {
  starts(history, run);
  history.childCompleted(run, { id: '8', reason: null });
  history.task();
  history.upsertSearchAttributes({ SyncOutcome: 'succeeded' });
  history.completed({ outcome: 'succeeded' });
}

/** In the turn that is under way: the launcher gives up its request, records why, and ends. */
function isSkipped(history: HistoryBuilder): void {
  history.upsertSearchAttributes({ SyncOutcome: 'skipped' });
  history.activityCompleted(history.activityScheduled('recordOutcome'), { id: '8' });
  history.task();
  history.completed({ outcome: 'skipped' });
}

/** The run that was asked for meets an open one, and the launcher begins to wait. */
function meetsAndWaits(history: HistoryBuilder, run: EventId, open: Open): EventId {
  history.childAlreadyExists(run);
  history.task();
  looks(history, open);
  return history.activityScheduled('awaitClose');
}

/** The wait ends with nothing that covers the request: the next turn asks for a run again. */
function asksAgain(history: HistoryBuilder, wait: EventId): EventId {
  history.activityCompleted(wait, null);
  history.task();
  return asksForRun(history);
}

function isCancelled(history: HistoryBuilder): void {
  history.upsertSearchAttributes({ SyncOutcome: 'cancelled' });
  history.activityCompleted(history.activityScheduled('recordOutcome'), { id: '8' });
  history.task();
  history.canceled();
}

async function expectRefused(history: HistoryBuilder): Promise<void> {
  await expect(replay(history.history())).rejects.toThrow(DeterminismViolationError);
}

describe.each(['delta', 'auto', 'complete', 'remap', 'approve', 'decline'] as const)('a request for %s', (mode) => {
  it('runs where nothing runs', async () => {
    const history = launcher(mode);
    carries(history, asks(history, mode, null));
    await replay(history.history());
  });

  it('that shows what it asks for from its start on does not set it again', async () => {
    const history = launcher(mode, undefined, { ...shown, SyncMode: mode, ConnectorType: 'scripted' });
    history.task();
    looks(history, null);
    carries(history, asksForRun(history));
    await replay(history.history());
  });

  it('is not skipped where nothing runs', async () => {
    const history = launcher(mode);
    history.task();
    history.upsertSearchAttributes({ ...shown, SyncMode: mode });
    looks(history, null);
    history.upsertSearchAttributes({ ConnectorType: 'scripted' });
    isSkipped(history);
    await expectRefused(history);
  });

  it('fails where its run fails', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    starts(history, run);
    history.childFailed(run, { kind: 'application', type: 'AuthenticationFailed', details: [{ run: { id: '8' } }] });
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'failed' });
    history.failed({ kind: 'application', type: 'AuthenticationFailed' });
    await replay(history.history());
  });

  it('records the end of a run that was terminated, and fails', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    starts(history, run);
    history.childTerminated(run);
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'failed' });
    history.activityCompleted(history.activityScheduled('fail'), { id: '8' });
    history.task();
    history.failed({ kind: 'application', type: 'Terminated' });
    await replay(history.history());
  });

  it('whose run is not there to be waited for records that it was terminated, and fails', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    looksForRun(history, starts(history, run), false);
    const timer = history.timerStarted();
    history.later(10_000);
    history.timerFired(timer);
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'failed' });
    history.activityCompleted(history.activityScheduled('fail'), { id: '8' });
    history.task();
    history.failed({ kind: 'application', type: 'Terminated' });
    await replay(history.history());
  });

  it('whose run is there goes on waiting for it', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    looksForRun(history, starts(history, run), true);
    history.childCompleted(run, { id: '8', reason: null });
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'succeeded' });
    history.completed({ outcome: 'succeeded' });
    await replay(history.history());
  });

  it('whose run has succeeded before the look says so', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    looksForRun(history, starts(history, run), false);
    history.timerStarted();
    history.childCompleted(run, { id: '8', reason: null });
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'succeeded' });
    history.completed({ outcome: 'succeeded' });
    await replay(history.history());
  });

  it('that is cancelled cancels its run and ends cancelled', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    starts(history, run);
    history.cancelRequested();
    history.task();
    history.childCancelDelivered(history.childCancelRequested(run), run);
    history.task();
    history.childCanceled(run);
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'cancelled' });
    history.canceled();
    await replay(history.history());
  });

  it('whose run is cancelled by hand has itself cancelled', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    starts(history, run);
    history.childCanceled(run);
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'cancelled' });
    const cancellation = history.activityScheduled('cancelLauncher');
    history.cancelRequested();
    history.activityCompleted(cancellation, null);
    history.task();
    history.canceled();
    await replay(history.history());
  });

  it('that is cancelled before its first turn asks for no run, and is recorded', async () => {
    const history = launcher(mode);
    history.cancelRequested();
    history.task();
    history.upsertSearchAttributes({ ...shown, SyncMode: mode });
    history.activityRefused();
    isCancelled(history);
    await replay(history.history());
  });

  it.each(['start, then the cancellation', 'cancellation, then the start'] as const)(
    'that hears in one turn of its run’s %s, cancels its run and ends cancelled',
    async (order) => {
      const history = launcher(mode);
      const run = asks(history, mode, null);
      if (order.startsWith('start')) history.childStarted(run);
      history.cancelRequested();
      if (order.startsWith('cancellation')) history.childStarted(run);
      history.task();
      const cancellation = history.childCancelRequested(run);
      history.timerStarted();
      history.childCancelDelivered(cancellation, run);
      history.task();
      history.childCanceled(run);
      history.task();
      history.upsertSearchAttributes({ SyncOutcome: 'cancelled' });
      history.canceled();
      await replay(history.history());
    },
  );

  it('that is cancelled while its run is being started, cancels its run and ends cancelled', async () => {
    const history = launcher(mode);
    const run = asks(history, mode, null);
    history.cancelRequested();
    history.task();
    const cancellation = history.childCancelRequested(run);
    history.childStarted(run);
    history.childCancelDelivered(cancellation, run);
    history.task();
    history.timerStarted();
    history.childCanceled(run);
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'cancelled' });
    history.canceled();
    await replay(history.history());
  });

  it.each(['cancellation before', 'cancellation after'] as const)(
    'that hears of its %s it meets a running run is recorded as cancelled',
    async (order) => {
      const history = launcher(mode);
      const run = asks(history, mode, 'delta');
      if (order === 'cancellation before') history.cancelRequested();
      history.childAlreadyExists(run);
      if (order === 'cancellation after') history.cancelRequested();
      history.task();
      history.activityRefused();
      isCancelled(history);
      await replay(history.history());
    },
  );
});

describe.each(['delta', 'auto'] as const)('a request for %s', (mode) => {
  it.each(['delta', 'complete'] as const)('is skipped and recorded where a %s runs', async (open) => {
    const history = launcher(mode);
    history.childAlreadyExists(asks(history, mode, open));
    history.task();
    looks(history, open);
    isSkipped(history);
    await replay(history.history());
  });

  it.each(['delta', 'complete'] as const)('does not wait where a %s runs', async (open) => {
    const history = launcher(mode);
    const wait = meetsAndWaits(history, asks(history, mode, open), open);
    carries(history, asksAgain(history, wait));
    await expectRefused(history);
  });

  it('is skipped even if the run in its way has ended when it looks', async () => {
    const history = launcher(mode);
    history.childAlreadyExists(asks(history, mode, 'delta'));
    history.task();
    looks(history, null);
    isSkipped(history);
    await replay(history.history());
  });

  it('stays skipped if it is cancelled while that is recorded', async () => {
    const history = launcher(mode);
    history.childAlreadyExists(asks(history, mode, 'complete'));
    history.task();
    looks(history, 'complete');
    history.upsertSearchAttributes({ SyncOutcome: 'skipped' });
    const record = history.activityScheduled('recordOutcome');
    history.cancelRequested();
    history.task();
    history.activityCompleted(record, { id: '8' });
    history.task();
    history.completed({ outcome: 'skipped' });
    await replay(history.history());
  });

  it('whose first turn comes more than an interval late is skipped without a look', async () => {
    const history = launcher(mode, 60_000);
    history.later(60_001);
    history.task();
    history.upsertSearchAttributes({ ...shown, SyncMode: mode });
    isSkipped(history);
    await replay(history.history());
  });

  it('whose first turn comes late, but within an interval, runs', async () => {
    const history = launcher(mode, 60_000);
    history.later(59_000);
    carries(history, asks(history, mode, null));
    await replay(history.history());
  });

  it('that comes late does not run', async () => {
    const history = launcher(mode, 60_000);
    history.later(60_001);
    carries(history, asks(history, mode, null));
    await expectRefused(history);
  });
});

describe('a request for complete', () => {
  describe.each(['delta', 'complete'] as const)('where a %s runs', (open) => {
    it('waits, then runs', async () => {
      const history = launcher('complete');
      const wait = meetsAndWaits(history, asks(history, 'complete', open), open);
      carries(history, asksAgain(history, wait));
      await replay(history.history());
    });

    it('waits again as often as it loses the race for its turn, then runs', async () => {
      const history = launcher('complete');
      let run = asks(history, 'complete', open);
      for (const next of ['delta', 'delta', 'complete'] as const) run = asksAgain(history, meetsAndWaits(history, run, next));
      carries(history, run);
      await replay(history.history());
    });

    it('waits, and is skipped where a complete has covered it', async () => {
      const history = launcher('complete');
      const wait = meetsAndWaits(history, asks(history, 'complete', open), open);
      history.activityCompleted(wait, '7');
      history.task();
      isSkipped(history);
      await replay(history.history());
    });

    it('waits, loses the race, waits again, and is skipped where the winner has covered it', async () => {
      const history = launcher('complete');
      const first = meetsAndWaits(history, asks(history, 'complete', open), open);
      const second = meetsAndWaits(history, asksAgain(history, first), 'complete');
      history.activityCompleted(second, '8');
      history.task();
      isSkipped(history);
      await replay(history.history());
    });

    it('that is cancelled while it waits is recorded, and ends cancelled', async () => {
      const history = launcher('complete');
      const wait = meetsAndWaits(history, asks(history, 'complete', open), open);
      history.cancelRequested();
      history.task();
      history.activityCancelRequested(wait);
      isCancelled(history);
      await replay(history.history());
    });

    it('that is cancelled after it lost the race is recorded, and ends cancelled', async () => {
      const history = launcher('complete');
      const first = meetsAndWaits(history, asks(history, 'complete', open), open);
      const second = meetsAndWaits(history, asksAgain(history, first), 'delta');
      history.cancelRequested();
      history.task();
      history.activityCancelRequested(second);
      isCancelled(history);
      await replay(history.history());
    });

    it('is not skipped', async () => {
      const history = launcher('complete');
      history.childAlreadyExists(asks(history, 'complete', open));
      history.task();
      looks(history, open);
      isSkipped(history);
      await expectRefused(history);
    });

    it('is not skipped after its wait where nothing covers it', async () => {
      const history = launcher('complete');
      history.activityCompleted(meetsAndWaits(history, asks(history, 'complete', open), open), null);
      history.task();
      isSkipped(history);
      await expectRefused(history);
    });

    it('does not run where a complete has covered it', async () => {
      const history = launcher('complete');
      history.activityCompleted(meetsAndWaits(history, asks(history, 'complete', open), open), '7');
      history.task();
      carries(history, asksForRun(history));
      await expectRefused(history);
    });

    it('does not ask for a run before its wait has ended', async () => {
      const history = launcher('complete');
      history.childAlreadyExists(asks(history, 'complete', open));
      history.task();
      looks(history, open);
      carries(history, asksForRun(history));
      await expectRefused(history);
    });
  });

  it('runs however late it comes', async () => {
    const history = launcher('complete', 60_000);
    history.later(86_400_000);
    carries(history, asks(history, 'complete', null));
    await replay(history.history());
  });
});

describe.each(['remap', 'approve', 'decline'] as const)('a request that no complete read covers: %s', (mode) => {
  it.each(['delta', 'complete'] as const)('waits where a %s runs, as often as it loses the race for its turn, then runs', async (open) => {
    const history = launcher(mode);
    let run = asks(history, mode, open);
    for (const next of [open, 'delta'] as const) run = asksAgain(history, meetsAndWaits(history, run, next));
    carries(history, run);
    await replay(history.history());
  });

  it.each(['delta', 'complete'] as const)('is not skipped where a %s runs', async (open) => {
    const history = launcher(mode);
    history.childAlreadyExists(asks(history, mode, open));
    history.task();
    looks(history, open);
    isSkipped(history);
    await expectRefused(history);
  });

  it('that is cancelled while it waits is recorded, and ends cancelled', async () => {
    const history = launcher(mode);
    const wait = meetsAndWaits(history, asks(history, mode, 'complete'), 'complete');
    history.cancelRequested();
    history.task();
    history.activityCancelRequested(wait);
    isCancelled(history);
    await replay(history.history());
  });

  it('runs however late it comes', async () => {
    const history = launcher(mode, 60_000);
    history.later(86_400_000);
    carries(history, asks(history, mode, null));
    await replay(history.history());
  });
});

describe.each(['approve', 'decline'] as const)('a decision: %s', (mode) => {
  it('without a digest, a name or a reason is malformed', async () => {
    const decision = { digest: '3f2a9c0d51b7e864', by: 'alice' };
    const history = buildHistory({
      workflowType: 'launchSync',
      workflowId: 'launch/corp-ad/scripted',
      input: [{ integration, mode, decision }],
    });
    history.task();
    history.failed({ kind: 'application', type: 'InvalidConfiguration' });
    await replay(history.history());
  });
});

describe('a run', () => {
  const run = (workflowId: string) =>
    buildHistory({ workflowType: 'syncIntegration', workflowId, input: [{ integration, mode: 'delta' }] });

  it('begins under its integration’s one workflow id', async () => {
    const history = run(`sync/${integration}`);
    history.task();
    const begin = history.activityScheduled('begin');
    history.activityFailed(begin, { kind: 'application', type: 'AuthenticationFailed' });
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'failed' });
    history.activityCompleted(history.activityScheduled('fail'), { id: '8' });
    history.task();
    history.failed({ kind: 'application', type: 'AuthenticationFailed' });
    await replay(history.history());
  });

  it('under any other workflow id fails before it does anything', async () => {
    const history = run('sync/elsewhere');
    history.task();
    history.failed({ kind: 'application', type: 'InvalidConfiguration' });
    await replay(history.history());
  });

  it('under any other workflow id does not begin', async () => {
    const history = run('sync/elsewhere');
    history.task();
    history.activityScheduled('begin');
    history.task();
    await expectRefused(history);
  });
});

describe('a request for identities', () => {
  const begin = (mode: RequestedMode, more: object = {}) =>
    buildHistory({
      workflowType: 'launchSync',
      workflowId: 'launch/identities/scripted',
      input: [{ integration: 'identities', mode, ...more }],
    });
  const facts = (open: Open | null) => ({
    connectorType: 'identities',
    sourceTaskQueue: null,
    running: open ? { id: '7', mode: open } : null,
  });
  const asksForIdentities = (history: HistoryBuilder, mode: RequestedMode, child: string, workflowId: string) => {
    history.task();
    history.upsertSearchAttributes({ IntegrationId: 'identities', SyncMode: mode });
    history.localActivity('describeIntegration', facts(null));
    history.upsertSearchAttributes({ ConnectorType: 'identities' });
    return history.childInitiated(child, workflowId);
  };

  it('starts the one run of identities', async () => {
    const history = begin('delta');
    carries(history, asksForIdentities(history, 'delta', 'synchronizeIdentities', 'identities'));
    await replay(history.history());
  });

  it.each([
    ['the run of an integration', 'syncIntegration', 'identities'],
    ['a run beside it', 'synchronizeIdentities', 'sync/identities'],
  ])('starts not %s', async (_, child, workflowId) => {
    const history = begin('delta');
    asksForIdentities(history, 'delta', child, workflowId);
    history.task();
    await expectRefused(history);
  });

  it('for a delta is skipped while one runs', async () => {
    const history = begin('delta');
    history.childAlreadyExists(asksForIdentities(history, 'delta', 'synchronizeIdentities', 'identities'));
    history.task();
    history.localActivity('describeIntegration', facts('complete'));
    isSkipped(history);
    await replay(history.history());
  });

  it('for a complete waits while one runs, then asks again', async () => {
    const history = begin('complete');
    history.childAlreadyExists(asksForIdentities(history, 'complete', 'synchronizeIdentities', 'identities'));
    history.task();
    history.localActivity('describeIntegration', facts('delta'));
    history.activityCompleted(history.activityScheduled('awaitClose'), null);
    history.task();
    carries(history, history.childInitiated('synchronizeIdentities', 'identities'));
    await replay(history.history());
  });

  it.each([[{ streams: ['users'] }], [{ dryRun: true }]])('with %o is malformed', async (more) => {
    const history = begin('complete', more);
    history.task();
    history.failed({ kind: 'application', type: 'InvalidConfiguration' });
    await replay(history.history());
  });
});

describe('a run of identities', () => {
  const run = (workflowId: string) =>
    buildHistory({ workflowType: 'synchronizeIdentities', workflowId, input: [{ integration: 'identities', mode: 'delta' }] });
  const plan = { claim: { runId: '8' }, mode: 'delta', reason: 'changes since the stored marker' };
  const does = (history: HistoryBuilder, activity: string, result: unknown = null) => {
    history.activityCompleted(history.activityScheduled(activity), result);
    history.task();
  };
  const succeeds = (history: HistoryBuilder) => {
    history.activityCompleted(history.activityScheduled('commitIdentities'), { id: '8', reason: null, streams: {} });
    history.task();
    history.upsertSearchAttributes({ SyncOutcome: 'succeeded' });
    history.completed({ id: '8' });
  };

  it('goes straight to its commit where nothing is noted', async () => {
    const history = run('identities');
    history.task();
    does(history, 'beginIdentities', plan);
    does(history, 'collectIdentities', false);
    succeeds(history);
    await replay(history.history());
  });

  it('joins, then composes', async () => {
    const history = run('identities');
    history.task();
    does(history, 'beginIdentities', plan);
    does(history, 'collectIdentities', true);
    does(history, 'joinIdentities');
    does(history, 'composeIdentities');
    succeeds(history);
    await replay(history.history());
  });

  it('begins again where its claim is stale', async () => {
    const history = run('identities');
    history.task();
    does(history, 'beginIdentities', plan);
    history.activityFailed(history.activityScheduled('collectIdentities'), { kind: 'application', type: 'StaleRun' });
    history.task();
    does(history, 'beginIdentities', plan);
    does(history, 'collectIdentities', false);
    succeeds(history);
    await replay(history.history());
  });

  it('under any other workflow id does not begin', async () => {
    const history = run('identities-2');
    history.task();
    history.failed({ kind: 'application', type: 'InvalidConfiguration' });
    await replay(history.history());
  });
});
