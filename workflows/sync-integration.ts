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
import { listedStreams, type RunPlan, type RunSummary, type Staged, type StepRecord, type SyncRequest } from '../model/run.ts';
import { syncWorkflowId } from '../model/workflow-ids.ts';
import { sourceActivities, storeActivities } from './activities.ts';
import { describeFailure, failWith, rootOf } from './failures.ts';
import { searchAttributes } from './search-attributes.ts';

/** What the query `progress` answers. */
export interface SyncProgress {
  /** The step that is running; `done` after the last. */
  readonly step: string;
  /** Null before begin has settled it. */
  readonly mode: 'complete' | 'delta' | null;
  readonly reason: string | null;
  /** The run's number; null before begin. */
  readonly run: string | null;
  /** The steps that have ended, with their durations. */
  readonly steps: Readonly<Record<string, StepRecord>>;
}

export const progressQuery = defineQuery<SyncProgress>('progress');

/** Failures after which the run begins again: what was staged, the server, or the claim is no longer what begin found. */
const beginsAgain: readonly string[] = ['StaleRun', 'StagingLost', 'ServerChanged'];
const maxRestarts = 5;

/** One run, always under the workflow id `sync/<integration>`: the server allows one open workflow per id, so two runs can't exist. */
export async function syncIntegration(request: SyncRequest): Promise<RunSummary> {
  const { workflowId, runId } = workflowInfo();
  if (workflowId !== syncWorkflowId(request.integration)) {
    throw ApplicationFailure.create({
      type: 'InvalidConfiguration',
      message: `syncIntegration runs only as ${syncWorkflowId(request.integration)}, not as ${workflowId}. Start launchSync instead, under any id.`,
      nonRetryable: true,
    });
  }
  const run = new Run(request);
  setHandler(progressQuery, () => run.progress());
  try {
    for (let restarts = 0; ; restarts++) {
      try {
        const summary = request.mode === 'decline' ? await run.decline() : await run.execute();
        upsertSearchAttributes([{ key: searchAttributes.outcome, value: 'succeeded' }]);
        setCurrentDetails(describeSuccess(summary));
        return summary;
      } catch (error) {
        const type = (rootOf(error) as { type?: string }).type ?? '';
        if (isCancellation(error) || !beginsAgain.includes(type) || restarts >= maxRestarts) throw error;
      }
    }
  } catch (error) {
    const outcome = isCancellation(error) ? 'cancelled' : 'failed';
    const failure = describeFailure(error);
    upsertSearchAttributes([{ key: searchAttributes.outcome, value: outcome }]);
    setCurrentDetails(
      `${outcome === 'cancelled' ? 'Cancelled' : `Failed: **${failure.type}**. ${failure.message}`} Markers are where they were.`,
    );
    const summary = await CancellationScope.nonCancellable(() =>
      storeActivities.fail.executeWithOptions({ summary: `record that the run ${outcome === 'failed' ? 'failed' : 'was cancelled'}` }, [
        { request, workflowId, temporalRunId: runId, outcome, failure, steps: run.steps },
      ]),
    );
    throw outcome === 'cancelled' ? error : failWith(failure, summary);
  }
}

/** The pipeline of one run, in order. */
class Run {
  readonly request: SyncRequest;
  steps: Record<string, StepRecord> = {};
  #step = 'begin';
  #plan: RunPlan | undefined;

  constructor(request: SyncRequest) {
    this.request = request;
  }

  progress(): SyncProgress {
    return {
      step: this.#step,
      mode: this.#plan && readsInMode(this.#plan) ? this.#plan.mode : null,
      reason: this.#plan?.reason ?? null,
      run: this.#plan?.claim.runId ?? null,
      steps: this.steps,
    };
  }

  async execute(): Promise<RunSummary> {
    this.steps = {};
    const source = sourceActivities(this.request.sourceTaskQueue);
    const plan = await this.#timed('begin', `check the source, settle the mode, take the next markers`, (summary) =>
      source.begin.executeWithOptions({ summary }, [this.request]),
    );
    this.#plan = plan;
    for (const [name, reason] of Object.entries(plan.skipped)) this.steps[name] = { durationMs: 0, skipped: reason };
    const staged = plan.approval ? await this.#readHeld(plan, source) : await this.#read(plan, source);
    if (staged.some((part) => part.news > 0) || (plan.steps.query && listedStreams(plan, staged).length > 0)) {
      await this.#apply(plan, staged);
    }
    const summary = await this.#timed(
      'commit',
      plan.dryRun ? 'record what would be done' : plan.approval ? 'record what became of each' : `advance ${plan.streams.length} markers`,
      (text) => storeActivities.commit.executeWithOptions({ summary: text }, [{ plan, staged, steps: this.steps }]),
    );
    this.#step = 'done';
    return summary;
  }

  async decline(): Promise<RunSummary> {
    return this.#timed('decline', 'drop what is held', (summary) =>
      storeActivities.decline.executeWithOptions({ summary }, [this.request]),
    );
  }

  async #readHeld(plan: RunPlan, source: ReturnType<typeof sourceActivities>): Promise<readonly Staged[]> {
    return this.#timed('read-held', 'read again by id what was approved', (summary) =>
      source.readHeld.executeWithOptions({ summary }, [plan]),
    );
  }

  async #read(plan: RunPlan, source: ReturnType<typeof sourceActivities>): Promise<readonly Staged[]> {
    const remaps = plan.streams.filter((stream) => stream.remaps);
    const reads = plan.steps.query ? plan.streams : [];
    if (remaps.length + reads.length === 0) return [];
    const staged = await this.#timed(reads.length > 0 ? 'query' : 'remap', reads.length > 0 ? 'read' : 'take up what is stored', () =>
      allOrNone([
        ...remaps.map(
          ({ stream }) =>
            () =>
              storeActivities.remap.executeWithOptions({ summary: `take up what is stored of ${stream}: its mapping changed` }, [
                { plan, stream },
              ]),
        ),
        ...reads.map(
          ({ stream, mode }) =>
            () =>
              source.query.executeWithOptions({ summary: `read ${stream}: ${mode === 'complete' ? 'everything' : 'changes'}` }, [
                { plan, stream },
              ]),
        ),
      ]),
    );
    if (reads.length === 0) return staged;
    const inDoubt = plan.retries || staged.some((part) => part.news > 0) || listedStreams(plan, staged).length > 0;
    if (!inDoubt) return staged;
    const reread = await this.#timed('reread', 'read again by id what is in doubt', (summary) =>
      source.reread.executeWithOptions({ summary }, [{ plan, staged }]),
    );
    return [...staged, ...reread];
  }

  async #apply(plan: RunPlan, staged: readonly Staged[]): Promise<void> {
    const mappingToken = plan.steps.transform
      ? await this.#timed('transform', 'map what differs', (summary) =>
          storeActivities.transform.executeWithOptions({ summary }, [{ plan, staged }]),
        )
      : null;
    const rows = await this.#timed('lookup', 'compare with what is stored', (summary) =>
      storeActivities.lookup.executeWithOptions({ summary }, [{ plan, staged, mappingToken }]),
    );
    if (plan.dryRun) {
      await this.#timed('rehearse', 'write what would be written, count it, take it back', (summary) =>
        storeActivities.rehearse.executeWithOptions({ summary }, [rows]),
      );
      return;
    }
    if (plan.steps.upsert) {
      await this.#timed('upsert', 'insert and update', (summary) => storeActivities.upsert.executeWithOptions({ summary }, [rows]));
    }
    if (plan.steps.membership) {
      await this.#timed('membership', 'apply member lists', (summary) =>
        storeActivities.membership.executeWithOptions({ summary }, [rows]),
      );
    }
    if (plan.steps.cleanup) {
      await this.#timed('cleanup', 'delete what is gone', (summary) => storeActivities.cleanup.executeWithOptions({ summary }, [rows]));
    }
  }

  async #timed<T>(step: string, summary: string, work: (summary: string) => Promise<T>): Promise<T> {
    this.#step = step;
    const name = nameRequest(this.#plan && readsInMode(this.#plan) ? this.#plan.mode : this.request.mode);
    const mode = this.#plan ? `${name} (${this.#plan.reason})` : name;
    setCurrentDetails(`${mode} of **${this.request.integration}**: step **${step}** — ${summary}`);
    const startedAt = Date.now();
    const result = await work(`${this.request.integration}: ${summary}`);
    this.steps[step] = { ...this.steps[step], durationMs: Date.now() - startedAt };
    return result;
  }
}

/** Whether the run reads streams completely or by their changes: neither a remap nor an approval does. */
function readsInMode({ server, approval }: RunPlan): boolean {
  return server !== null && approval === undefined;
}

/** Runs all side by side; if one fails the others are cancelled and awaited, so that nothing of the run goes on behind its end. */
async function allOrNone<T>(tasks: readonly (() => Promise<T>)[]): Promise<readonly T[]> {
  return CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    const results = tasks.map((task) => task());
    for (const result of results) result.catch(() => scope.cancel());
    const settled = await Promise.allSettled(results);
    const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    const cause = failures.find((failure) => !isCancellation(failure)) ?? failures[0];
    if (cause !== undefined) throw cause;
    return settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  });
}

function describeSuccess(run: RunSummary): string {
  const streams = Object.entries(run.streams).map(
    ([name, totals]) =>
      `- ${name}${totals.mode === null ? '' : ` (${totals.mode})`}: ${totals.read} read, ${totals.created} created, ${totals.updated} updated, ${totals.deleted + totals.deactivated} deleted, ${totals.restored} restored, ${totals.held} held, ${totals.quarantined} quarantined`,
  );
  return [
    `Succeeded as run ${run.id}${run.dryRun ? ', a dry run: nothing was stored' : ''}: ${run.reason ?? ''}`,
    ...streams,
    `- links: ${run.links.added} added, ${run.links.removed} removed`,
  ].join('\n');
}
