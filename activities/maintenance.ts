import { WorkflowNotFoundError } from '@temporalio/client';
import type { MaintenanceRequest } from '../model/maintenance.ts';
import { currentConfigurations } from '../store/apply-configuration.ts';
import { closeAbandoned, findUnendedRuns } from '../store/claims.ts';
import { giveUpChanges, removeGivenUpChanges } from '../store/sql/expire-changes.ts';
import { purgeDeleted } from '../store/sql/purge-deleted.ts';
import { removeRuns as removeRunsOf } from '../store/sql/remove-runs.ts';
import { dropLeftovers } from '../store/sql/staging.ts';
import type { Dependencies } from './dependencies.ts';
import { type StepContext, step } from './step.ts';

/** Rows removed in one transaction: a fraction of a second each, so that a run never waits for long. */
const batchSize = 5_000;

/** The parts of `maintain`. Each works in batches, can be cut off anywhere, and done twice removes nothing more. */

/** Records the end of runs that Temporal has closed and nobody else has recorded: terminated ones, with their launchers. Returns how many. */
export function closeAbandonedRuns(deps: Dependencies) {
  return (): Promise<number> =>
    step('close-abandoned', Number.POSITIVE_INFINITY, async ({ signal }) => {
      let closed = 0;
      for (const run of await findUnendedRuns(deps.store.pool)) {
        signal.throwIfAborted();
        if (await isStillOpen(deps, run.workflowId, run.temporalRunId)) continue;
        if (await closeAbandoned(deps.store.pool, run)) closed += 1;
      }
      return closed;
    });
}

/** A run that Temporal no longer knows can't go on either. */
async function isStillOpen(deps: Dependencies, workflowId: string, temporalRunId: string): Promise<boolean> {
  try {
    return (await deps.temporal.workflow.getHandle(workflowId, temporalRunId).describe()).status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** Removes staged rows whose run is not open. Returns how many. */
export function removeLeftovers(deps: Dependencies) {
  return (): Promise<number> =>
    step('remove-leftovers', Number.POSITIVE_INFINITY, (context) => total(dropLeftovers(deps.store.pool, batchSize), context));
}

/** Removes changes that are older than the retention; cursors before them are refused from then on. Returns how many. */
export function expireChanges(deps: Dependencies) {
  return ({ changesMs }: MaintenanceRequest): Promise<number> =>
    step('expire-changes', Number.POSITIVE_INFINITY, async (context) => {
      await giveUpChanges(deps.store.pool, changesMs);
      return total(removeGivenUpChanges(deps.store.pool, batchSize), context);
    });
}

export interface PurgeResult {
  readonly objects: number;
  /** Integrations with an open run, left for later. */
  readonly busy: readonly string[];
}

/** Removes for good the objects that have been deleted for longer than their integration's `purgeAfter`. */
export function purgeObjects(deps: Dependencies) {
  return (): Promise<PurgeResult> =>
    step('purge-objects', Number.POSITIVE_INFINITY, async ({ signal, progress }) => {
      const busy: string[] = [];
      let objects = 0;
      for (const [integration, config] of await currentConfigurations(deps.store)) {
        const { purgeAfterMs } = config.steps.cleanup;
        if (purgeAfterMs === undefined) continue;
        for (let purged: number | 'busy' = batchSize; purged === batchSize; ) {
          signal.throwIfAborted();
          purged = await purgeDeleted(deps.store.pool, integration, purgeAfterMs, batchSize);
          if (purged === 'busy') busy.push(integration);
          else objects += purged;
          progress(undefined, objects);
        }
      }
      return { objects, busy };
    });
}

/** Removes runs that are older than the retention and that nothing refers to. Returns how many. */
export function removeRuns(deps: Dependencies) {
  return (request: MaintenanceRequest): Promise<number> =>
    step('remove-runs', Number.POSITIVE_INFINITY, async (context) => {
      const { pool } = deps.store;
      const { rows } = await pool.query<{ id: string }>(`select id from tidemark.integration order by id`);
      let runs = 0;
      for (const { id } of rows)
        runs += await total(
          repeated(() => removeRunsOf(pool, id, request, batchSize)),
          context,
        );
      return runs;
    });
}

/** Batches until one is not full. */
async function* repeated(batch: () => Promise<number>): AsyncGenerator<number> {
  for (let removed = batchSize; removed === batchSize; ) {
    removed = await batch();
    yield removed;
  }
}

async function total(batches: AsyncGenerator<number>, { signal, progress }: StepContext): Promise<number> {
  let sum = 0;
  for await (const removed of batches) {
    sum += removed;
    progress(undefined, sum);
    signal.throwIfAborted();
  }
  return sum;
}
