import { type SearchAttributePair, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  type ChildWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  sleep,
  startChild,
  TerminatedFailure,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { formatDuration } from '../model/duration.ts';
import { isDecision, nameRequest, requestedModes, waitsForItsTurn } from '../model/requests.ts';
import type { LaunchRequest, LaunchResult, RunSummary, SyncRequest } from '../model/run.ts';
import { identitiesName, syncWorkflowId } from '../model/workflow-ids.ts';
import { glance, storeActivities, waitActivities } from './activities.ts';
import { describeFailure, failWith, rootOf } from './failures.ts';
import { searchAttributes } from './search-attributes.ts';
import { syncIntegration } from './sync-integration.ts';
import { synchronizeIdentities } from './synchronize-identities.ts';

/**
 * The one door to a run, of an integration or of the identities, under any workflow id: schedules, the command line, `temporal workflow start` and other programs start it. It
 * carries one request to its own outcome. A delta that finds a run open is skipped; a complete waits for its turn, or is skipped because
 * a complete that began after it was asked for has covered it; a decision on held deletions waits and always runs. A failed run fails it
 * with the same typed failure.
 */
export async function launchSync(request: LaunchRequest): Promise<LaunchResult> {
  rejectMalformed(request);
  const { startTime, workflowId } = workflowInfo();
  const requestedAt = startTime.toISOString();
  show({ key: searchAttributes.integration, value: request.integration }, { key: searchAttributes.mode, value: request.mode });
  const turn = await takeTurn(request, { launcherId: workflowId, requestedAt, lateByMs: Date.now() - startTime.getTime() });
  return 'run' in turn ? await carry(turn.run, turn.sync) : turn.skipped;
}

interface Launcher {
  readonly launcherId: string;
  readonly requestedAt: string;
  readonly lateByMs: number;
}

/** The run that was started for the request, or how the request ended without one. */
type Turn = { readonly run: ChildWorkflowHandle<typeof syncIntegration>; readonly sync: SyncRequest } | { readonly skipped: LaunchResult };

/** Search attributes, as far as the launcher was not started with them: each change of them is an event. */
function show(...pairs: readonly SearchAttributePair[]): void {
  const shown = workflowInfo().typedSearchAttributes;
  const missing = pairs.filter(({ key, value }) => shown.get(key) !== value);
  if (missing.length > 0) upsertSearchAttributes(missing);
}

/** Goes as far as a run of the request's own; a launcher that is cancelled on the way says so in the run history. */
async function takeTurn(request: LaunchRequest, { launcherId, requestedAt, lateByMs }: Launcher): Promise<Turn> {
  const skip = async (reason: string): Promise<Turn> => {
    const run = await end(request, requestedAt, 'skipped', reason);
    return { skipped: { outcome: 'skipped', reason, run } };
  };
  try {
    if (!waitsForItsTurn(request.mode) && request.lateAfterMs !== undefined && lateByMs > request.lateAfterMs) {
      return await skip(`it came ${formatDuration(lateByMs)} late, more than one interval: no worker was running; the next one follows`);
    }
    const facts = await glance.describeIntegration(request.integration);
    if (facts.connectorType) show({ key: searchAttributes.connector, value: facts.connectorType });
    const sync: SyncRequest = {
      ...request,
      launcherId,
      requestedAt,
      ...(facts.connectorType ? { connectorType: facts.connectorType } : {}),
      ...(facts.sourceTaskQueue ? { sourceTaskQueue: facts.sourceTaskQueue } : {}),
    };
    for (;;) {
      const run = await startRun(sync);
      if (run) return { run, sync };
      const { running } = await glance.describeIntegration(request.integration);
      const inTheWay = running
        ? `run ${running.id} (${running.mode}) of ${request.integration} was running`
        : `another run of ${request.integration} was running`;
      if (!waitsForItsTurn(request.mode)) return await skip(inTheWay);
      setCurrentDetails(`Waiting: ${inTheWay}. This ${nameRequest(request.mode)} is next.`);
      const covered = await waitActivities().awaitClose({ request, waitingSince: requestedAt });
      if (covered) return await skip(`covered by complete run ${covered}, which began after this one was asked for`);
    }
  } catch (error) {
    if (isCancellation(error)) await end(request, requestedAt, 'cancelled', 'it was cancelled before a run of its own began');
    throw error;
  }
}

function rejectMalformed(request: LaunchRequest): void {
  const problem =
    typeof request !== 'object' || request === null
      ? 'the argument is not an object'
      : typeof request.integration !== 'string' || request.integration === ''
        ? '"integration" is missing'
        : !requestedModes.includes(request.mode)
          ? `"mode" is not one of ${requestedModes.join(', ')}`
          : request.streams !== undefined &&
              !(Array.isArray(request.streams) && request.streams.every((stream) => typeof stream === 'string'))
            ? '"streams" is not a list of names'
            : isDecision(request.mode) && !isComplete(request.decision)
              ? '"decision" lacks one of the texts digest, by and why'
              : request.dryRun !== undefined && (typeof request.dryRun !== 'boolean' || isDecision(request.mode))
                ? '"dryRun" is neither true nor false, or goes with a decision'
                : request.integration === identitiesName &&
                    (request.streams !== undefined || isDecision(request.mode) || request.mode === 'remap' || request.dryRun)
                  ? 'identities have no streams, nothing held, nothing to remap and no dry run'
                  : undefined;
  if (problem === undefined) return;
  throw ApplicationFailure.create({
    type: 'InvalidConfiguration',
    message: `The request of launchSync is malformed: ${problem}. Give one argument such as {"integration": "corp-ad", "mode": "delta"}.`,
    nonRetryable: true,
  });
}

function isComplete(decision: LaunchRequest['decision']): boolean {
  return typeof decision?.digest === 'string' && typeof decision.by === 'string' && typeof decision.why === 'string';
}

/** Starts the run, unless one is open: the server allows one open workflow per id. */
async function startRun(sync: SyncRequest): Promise<ChildWorkflowHandle<typeof syncIntegration> | undefined> {
  try {
    return await startChild(sync.integration === identitiesName ? synchronizeIdentities : syncIntegration, {
      workflowId: syncWorkflowId(sync.integration),
      args: [sync],
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `${nameRequest(sync.mode)}${sync.dryRun ? ' (dry run)' : ''} of ${sync.integration}`,
      typedSearchAttributes: [
        { key: searchAttributes.integration, value: sync.integration },
        { key: searchAttributes.mode, value: sync.mode },
        ...(sync.connectorType ? [{ key: searchAttributes.connector, value: sync.connectorType }] : []),
      ],
    });
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
    throw error;
  }
}

async function carry(child: ChildWorkflowHandle<typeof syncIntegration>, sync: SyncRequest): Promise<LaunchResult> {
  setCurrentDetails(`Carried out by the workflow ${child.workflowId}, run ${child.firstExecutionRunId}.`);
  try {
    const run = await resultOf(child, sync.integration);
    upsertSearchAttributes([{ key: searchAttributes.outcome, value: 'succeeded' }]);
    return { outcome: 'succeeded', ...(run.reason ? { reason: run.reason } : {}), run };
  } catch (error) {
    const outcome = isCancellation(error) ? 'cancelled' : 'failed';
    upsertSearchAttributes([{ key: searchAttributes.outcome, value: outcome }]);
    const root = rootOf(error);
    if (root instanceof TerminatedFailure) {
      const failure = describeFailure(error);
      const run = await CancellationScope.nonCancellable(() =>
        storeActivities.fail({
          request: sync,
          workflowId: child.workflowId,
          temporalRunId: child.firstExecutionRunId,
          outcome: 'failed',
          failure,
          steps: {},
        }),
      );
      throw failWith(failure, run);
    }
    if (outcome === 'cancelled') return await endCancelled(error);
    throw root;
  }
}

/** The result of a run that was terminated comes at once, if it comes at all; and most deltas have ended by then. */
const unheardAfter = '10 seconds';

/**
 * The result of the run. Temporal's server forgets to tell a parent of a child that was terminated before it had noted the child's start, and
 * nothing would ever end the launcher: so after a while it looks once, beside its waiting, whether there is a run to wait for.
 */
async function resultOf(child: ChildWorkflowHandle<typeof syncIntegration>, integration: string): Promise<RunSummary> {
  const result = child.result();
  const looked = CancellationScope.nonCancellable(async () => {
    await sleep(unheardAfter);
    if (await glance.isCarried(integration).catch(() => true)) return result;
    await sleep(unheardAfter);
    throw new TerminatedFailure('it was terminated as soon as it was started');
  });
  return Promise.race([result, looked]);
}

/**
 * Ends this launcher as cancelled. Temporal closes a workflow as cancelled only if its own cancellation was asked for; where somebody
 * cancelled the run itself, the launcher asks for its own.
 */
async function endCancelled(error: unknown): Promise<never> {
  const scope = CancellationScope.current();
  if (!scope.consideredCancelled) {
    await CancellationScope.nonCancellable(() => storeActivities.cancelLauncher());
    await scope.cancelRequested;
  }
  throw error;
}

/** Records how a request ended that no run was started for; what is decided is recorded, even if the launcher is cancelled meanwhile. */
async function end(request: LaunchRequest, requestedAt: string, outcome: 'skipped' | 'cancelled', reason: string): Promise<RunSummary> {
  upsertSearchAttributes([{ key: searchAttributes.outcome, value: outcome }]);
  setCurrentDetails(`${outcome === 'skipped' ? 'Skipped' : 'Cancelled'}: ${reason}.`);
  return CancellationScope.nonCancellable(() => storeActivities.recordOutcome({ request, requestedAt, outcome, reason }));
}
