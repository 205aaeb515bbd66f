import { CancellationScope, isCancellation } from '@temporalio/workflow';
import { listedStreams, type RunPlan, type RunSummary, type Staged, type StreamPlan, type SyncRequest } from '../model/run.ts';
import { sourceActivities, storeActivities } from './activities.ts';
import { type Course, carryOut } from './carry-out.ts';

/** One run, always under the workflow id `sync/<integration>`: the server allows one open workflow per id, so two runs can't exist. */
export async function syncIntegration(request: SyncRequest): Promise<RunSummary> {
  return carryOut('syncIntegration', request, describeSuccess, (course) =>
    request.mode === 'decline' ? decline(course) : new Pipeline(course).execute(),
  );
}

function decline(course: Course): Promise<RunSummary> {
  return course.step('decline', 'drop what is held', (summary) =>
    storeActivities.decline.executeWithOptions({ summary }, [course.request]),
  );
}

/** The pipeline of one run, in order. */
class Pipeline {
  readonly #course: Course;

  constructor(course: Course) {
    this.#course = course;
  }

  async execute(): Promise<RunSummary> {
    const { request, steps } = this.#course;
    const source = sourceActivities(request.sourceTaskQueue);
    const plan = await this.#course.step('begin', `check the source, settle the mode, take the next markers`, (summary) =>
      source.begin.executeWithOptions({ summary }, [request]),
    );
    this.#course.settled(plan, readsInMode(plan));
    for (const [name, reason] of Object.entries(plan.skipped)) steps[name] = { durationMs: 0, skipped: reason };
    const staged = plan.approval ? await this.#readHeld(plan, source) : await this.#read(plan, source);
    if (staged.some((part) => part.news > 0) || (plan.steps.query && listedStreams(plan, staged).length > 0)) {
      await this.#apply(plan, staged);
    }
    const summary = await this.#course.step(
      'commit',
      plan.dryRun ? 'record what would be done' : plan.approval ? 'record what became of each' : `advance ${plan.streams.length} markers`,
      (text) => storeActivities.commit.executeWithOptions({ summary: text }, [{ plan, staged, steps }]),
    );
    return summary;
  }

  async #readHeld(plan: RunPlan, source: ReturnType<typeof sourceActivities>): Promise<readonly Staged[]> {
    return this.#course.step('read-held', 'read again by id what was approved', (summary) =>
      source.readHeld.executeWithOptions({ summary }, [plan]),
    );
  }

  async #read(plan: RunPlan, source: ReturnType<typeof sourceActivities>): Promise<readonly Staged[]> {
    const remaps = plan.streams.filter((stream) => stream.remaps);
    const reads = plan.steps.query ? plan.streams : [];
    if (remaps.length + reads.length === 0) return [];
    const completes = reads.filter(({ mode }) => mode === 'complete');
    const deltas = reads.filter(({ mode }) => mode === 'delta');
    const query = (streams: readonly StreamPlan[], what: string) => {
      const names = streams.map(({ stream }) => stream);
      return source.query.executeWithOptions({ summary: `read ${names.join(', ')}: ${what}` }, [{ plan, streams: names }]);
    };
    const parts = await this.#course.step(reads.length > 0 ? 'query' : 'remap', reads.length > 0 ? 'read' : 'take up what is stored', () =>
      allOrNone([
        ...remaps.map(({ stream }) => async () => [
          await storeActivities.remap.executeWithOptions({ summary: `take up what is stored of ${stream}: its mapping changed` }, [
            { plan, stream },
          ]),
        ]),
        ...completes.map((stream) => () => query([stream], 'everything')),
        // Changes are mostly few or none: what a session and an activity cost is paid once for all of them.
        ...(deltas.length > 0 ? [() => query(deltas, 'changes')] : []),
      ]),
    );
    const staged = parts.flat();
    if (reads.length === 0) return staged;
    const inDoubt = plan.retries || staged.some((part) => part.news > 0) || listedStreams(plan, staged).length > 0;
    if (!inDoubt) return staged;
    const reread = await this.#course.step('reread', 'read again by id what is in doubt', (summary) =>
      source.reread.executeWithOptions({ summary }, [{ plan, staged }]),
    );
    return [...staged, ...reread];
  }

  async #apply(plan: RunPlan, staged: readonly Staged[]): Promise<void> {
    const mappingToken = plan.steps.transform
      ? await this.#course.step('transform', 'map what differs', (summary) =>
          storeActivities.transform.executeWithOptions({ summary }, [{ plan, staged }]),
        )
      : null;
    const rows = await this.#course.step('lookup', 'compare with what is stored', (summary) =>
      storeActivities.lookup.executeWithOptions({ summary }, [{ plan, staged, mappingToken }]),
    );
    if (plan.dryRun) {
      await this.#course.step('rehearse', 'write what would be written, count it, take it back', (summary) =>
        storeActivities.rehearse.executeWithOptions({ summary }, [rows]),
      );
      return;
    }
    if (plan.steps.upsert) {
      await this.#course.step('upsert', 'insert and update', (summary) => storeActivities.upsert.executeWithOptions({ summary }, [rows]));
    }
    if (plan.steps.membership) {
      await this.#course.step('membership', 'apply member lists', (summary) =>
        storeActivities.membership.executeWithOptions({ summary }, [rows]),
      );
    }
    if (plan.steps.cleanup) {
      await this.#course.step('cleanup', 'delete what is gone', (summary) =>
        storeActivities.cleanup.executeWithOptions({ summary }, [rows]),
      );
    }
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
