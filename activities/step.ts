import { activityInfo, Context, cancellationSignal } from '@temporalio/activity';
import { TidemarkFailure } from '../model/failure.ts';
import type { Claim } from '../model/run.ts';
import { type IsOpen, type StepAttempt, staleRun, startAttempt, startAttempts } from '../store/fence.ts';
import type { Dependencies } from './dependencies.ts';
import { toApplicationFailure } from './failures.ts';

/** What an activity tells while it works: `tidemark sync` and Temporal UI show it. */
export interface Progress {
  readonly step: string;
  readonly stream?: string;
  readonly objects: number;
  /** What it waits for, in words. */
  readonly waiting?: string;
}

/** The state of one attempt of an activity. */
export interface StepContext {
  readonly signal: AbortSignal;
  progress(stream: string | undefined, objects: number): void;
  /** Tells what it waits for; until the next progress. */
  waiting(forWhat: string): void;
}

interface HeartbeatDetails extends Partial<Progress> {
  /** Since when the source can't be reached, ISO 8601; carried from attempt to attempt. */
  readonly unreachableSince?: string | undefined;
  /** Attempts that did nothing but wait in a source's line: they count as none. */
  readonly waits?: number | undefined;
}

/** Cancellation comes with the answer to a heartbeat. */
const heartbeatEveryMs = 1_000;

/**
 * Runs one attempt of an activity: heartbeats while it works, turns its errors into typed failures, and gives up on a source that has been
 * unreachable for longer than `unreachableLimitMs`; a function where the limit is only known after some of the work.
 */
export async function step<T>(
  name: string,
  unreachableLimitMs: number | (() => number),
  work: (context: StepContext) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const earlier = (context.info.heartbeatDetails ?? {}) as HeartbeatDetails;
  const carried = { unreachableSince: earlier.unreachableSince, waits: earlier.waits };
  let details: HeartbeatDetails = { step: name, objects: 0, ...carried };
  const beat = () => context.heartbeat(details);
  // Not at once: what ends within the interval is not worth a message to the server, which keeps what an earlier attempt told.
  const timer = setInterval(beat, heartbeatEveryMs);
  const attempt = activityInfo().attempt - (earlier.waits ?? 0);
  try {
    return await work({
      signal: cancellationSignal(),
      progress: (stream, objects) => {
        details = { step: name, ...(stream === undefined ? {} : { stream }), objects, waits: carried.waits };
        beat();
      },
      waiting: (forWhat) => {
        details = { step: name, objects: 0, waiting: forWhat, ...carried };
        beat();
      },
    });
  } catch (error) {
    if (error instanceof TidemarkFailure && error.type === 'SourceBusy') {
      details = { ...details, waits: (earlier.waits ?? 0) + 1 };
      beat();
    }
    if (error instanceof TidemarkFailure && error.type === 'SourceUnavailable') {
      const since = details.unreachableSince ?? new Date().toISOString();
      details = { ...details, unreachableSince: since };
      beat();
      const limitMs = typeof unreachableLimitMs === 'number' ? unreachableLimitMs : unreachableLimitMs();
      const outOfPatience = Date.now() - Date.parse(since) > limitMs;
      throw toApplicationFailure(error, attempt, outOfPatience);
    }
    throw toApplicationFailure(error, attempt);
  } finally {
    clearInterval(timer);
  }
}

/** Whether the Temporal run that holds a claim is still open. */
export function isOpen(deps: Dependencies): IsOpen {
  return async (claim) => {
    const { workflowExecution } = activityInfo();
    if (!workflowExecution) return true;
    const description = await deps.temporal.workflow.getHandle(workflowExecution.workflowId, claim.temporalRunId).describe();
    return description.status.name === 'RUNNING';
  };
}

/** The right of this attempt to write. */
export async function attemptOf(deps: Dependencies, claim: Claim, name: string): Promise<StepAttempt> {
  requireOwnClaim(claim);
  return startAttempt(deps.store.pool, claim, name, isOpen(deps));
}

/** The same for an activity that carries out a step several times, each under a name of its own. */
export async function attemptsOf(
  deps: Dependencies,
  claim: Claim,
  names: readonly string[],
): Promise<readonly [StepAttempt, ...StepAttempt[]]> {
  requireOwnClaim(claim);
  const [first, ...others] = await startAttempts(deps.store.pool, claim, names, isOpen(deps));
  if (first === undefined) throw new Error('no step is named');
  return [first, ...others];
}

/** A workflow that was reset carries the claim of the run before it: it is told that its run is stale, and begins again. */
export function requireOwnClaim(claim: Claim): void {
  const { workflowExecution } = activityInfo();
  if (workflowExecution && workflowExecution.runId !== claim.temporalRunId) throw staleRun(claim);
}
