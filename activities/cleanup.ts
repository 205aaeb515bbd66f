import type { StepsConfig } from '../model/config/types.ts';
import { activeThatSettle, judgePlan } from '../model/deletion-limits.ts';
import { applyDeletions, countDeletions, holdDeletions } from '../store/sql/apply-deletions.ts';
import { countActive } from '../store/sql/count-active.ts';
import { countRecent } from '../store/sql/count-recent.ts';
import { verifyStaged } from '../store/sql/staging.ts';
import type { StagedRows } from '../store/sql/upsert-batch.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, step } from './step.ts';
import { fencedWriter, type StepWriter } from './step-writer.ts';

/**
 * Deletes or deactivates what is gone, absent or out of scope. Each stream's deletions are one plan: if with those of the last 24 hours it
 * exceeds a limit, the whole plan is held, and so it is where the re-read step left absent objects unread because they exceeded one,
 * whatever was created since.
 */
export function cleanup(deps: Dependencies) {
  return async (rows: StagedRows): Promise<void> => {
    const config = await deps.configuration(rows.plan.configId);
    await step('cleanup', config.unreachableLimitMs, async ({ progress }) => {
      const writer = fencedWriter(deps.store.pool, await attemptOf(deps, rows.plan.claim, 'cleanup'));
      progress(undefined, await applyCleanup({ writer, rows }, config.steps.cleanup));
    });
  };
}

/** What the step does, with the writer's transactions. Returns how many objects it deleted or deactivated. */
export function applyCleanup(
  { writer, rows }: { readonly writer: StepWriter; readonly rows: StagedRows },
  { action, limits }: StepsConfig['cleanup'],
): Promise<number> {
  return writer.transaction('exclusive', async (client) => {
    await verifyStaged(client, rows.plan, rows.staged);
    // Nothing was read but what was approved: every verdict is about it, and no limit has a say.
    if (rows.plan.approval) return applyDeletions(client, rows, action, {});
    const { integration, runId } = rows.plan.claim;
    const recent = await countRecent(client, integration, runId);
    const held: Record<string, string> = {};
    for (const { stream, candidates, unread } of await countDeletions(client, rows)) {
      const plan = { candidates, recent: recent(stream).objects, limits };
      const active = await countActive(client, integration, stream, activeThatSettle(plan));
      const verdict = judgePlan({ ...plan, active, emptyListing: false });
      const reason = unread ?? (verdict.held ? verdict.reason : undefined);
      if (reason !== undefined) held[stream] = reason;
    }
    await holdDeletions(client, rows, held);
    return applyDeletions(client, rows, action, held);
  });
}
