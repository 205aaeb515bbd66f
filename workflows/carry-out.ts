import {
  ApplicationFailure,
  CancellationScope,
  defineQuery,
  isCancellation,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { nameRequest } from '../model/requests.ts';
import type { Mode, RunSummary, StepRecord, SyncRequest } from '../model/run.ts';
import { syncWorkflowId } from '../model/workflow-ids.ts';
import { storeActivities } from './activities.ts';
import { describeFailure, failWith, rootOf } from './failures.ts';
import { searchAttributes } from './search-attributes.ts';

/** What the query `progress` answers. */
export interface SyncProgress {
  /** The step that is running; `done` after the last. */
  readonly step: string;
  /** Null before begin has settled it. */
  readonly mode: Mode | null;
  readonly reason: string | null;
  /** The run's number; null before begin. */
  readonly run: string | null;
  /** The steps that have ended, with their durations. */
  readonly steps: Readonly<Record<string, StepRecord>>;
}

const progressQuery = defineQuery<SyncProgress>('progress');

/** What begin has settled, of any kind of run. */
interface Settled {
  readonly claim: { readonly runId: string };
  readonly mode: Mode;
  readonly reason: string;
}

/** How far one attempt of a run has come. */
export interface Course {
  readonly request: SyncRequest;
  /** The steps that have ended; the run adds those it leaves out. */
  readonly steps: Record<string, StepRecord>;
  /** `inMode`: the run reads completely or by changes, which an approval and a remap do not. */
  settled(plan: Settled, inMode: boolean): void;
  /** Runs a step, and tells that it runs; `work` gets its summary. */
  step<T>(name: string, summary: string, work: (summary: string) => Promise<T>): Promise<T>;
}

/** Failures after which the run begins again: what was staged, the server, or the claim is no longer what begin found. */
const beginsAgain: readonly string[] = ['StaleRun', 'StagingLost', 'ServerChanged'];
const maxRestarts = 5;

/**
 * What every run has in common: it exists once, because the server allows one open workflow per id; it begins again where what begin found
 * no longer holds; it tells how far it is; and its end is recorded, however it ends.
 */
export async function carryOut(
  workflow: string,
  request: SyncRequest,
  describeSuccess: (run: RunSummary) => string,
  execute: (course: Course) => Promise<RunSummary>,
): Promise<RunSummary> {
  const { workflowId, runId } = workflowInfo();
  if (workflowId !== syncWorkflowId(request.integration)) {
    throw ApplicationFailure.create({
      type: 'InvalidConfiguration',
      message: `${workflow} runs only as ${syncWorkflowId(request.integration)}, not as ${workflowId}. Start launchSync instead, under any id.`,
      nonRetryable: true,
    });
  }
  let attempt = beginCourse(request);
  setHandler(progressQuery, () => attempt.progress());
  try {
    for (let restarts = 0; ; restarts++) {
      try {
        const summary = await execute(attempt.course);
        attempt.done();
        upsertSearchAttributes([{ key: searchAttributes.outcome, value: 'succeeded' }]);
        setCurrentDetails(describeSuccess(summary));
        return summary;
      } catch (error) {
        const type = (rootOf(error) as { type?: string }).type ?? '';
        if (isCancellation(error) || !beginsAgain.includes(type) || restarts >= maxRestarts) throw error;
        attempt = beginCourse(request);
      }
    }
  } catch (error) {
    const outcome = isCancellation(error) ? 'cancelled' : 'failed';
    const failure = describeFailure(error);
    upsertSearchAttributes([{ key: searchAttributes.outcome, value: outcome }]);
    setCurrentDetails(
      `${outcome === 'cancelled' ? 'Cancelled' : `Failed: **${failure.type}**. ${failure.message}`} Markers are where they were.`,
    );
    const { steps } = attempt.course;
    const summary = await CancellationScope.nonCancellable(() =>
      storeActivities.fail.executeWithOptions({ summary: `record that the run ${outcome === 'failed' ? 'failed' : 'was cancelled'}` }, [
        { request, workflowId, temporalRunId: runId, outcome, failure, steps },
      ]),
    );
    throw outcome === 'cancelled' ? error : failWith(failure, summary);
  }
}

interface Attempt {
  readonly course: Course;
  progress(): SyncProgress;
  done(): void;
}

function beginCourse(request: SyncRequest): Attempt {
  const steps: Record<string, StepRecord> = {};
  let at = 'begin';
  let plan: Settled | undefined;
  let inMode = false;
  return {
    course: {
      request,
      steps,
      settled(settled, readsInMode) {
        plan = settled;
        inMode = readsInMode;
      },
      async step(name, summary, work) {
        at = name;
        const words = nameRequest(plan && inMode ? plan.mode : request.mode);
        setCurrentDetails(`${plan ? `${words} (${plan.reason})` : words} of **${request.integration}**: step **${name}** — ${summary}`);
        const startedAt = Date.now();
        const result = await work(`${request.integration}: ${summary}`);
        steps[name] = { ...steps[name], durationMs: Date.now() - startedAt };
        return result;
      },
    },
    progress: () => ({
      step: at,
      mode: plan && inMode ? plan.mode : null,
      reason: plan?.reason ?? null,
      run: plan?.claim.runId ?? null,
      steps,
    }),
    done() {
      at = 'done';
    },
  };
}
