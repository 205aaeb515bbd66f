import { fenced } from '../store/fence.ts';
import { applyLinks, resolveArrivals } from '../store/sql/apply-links.ts';
import { analyzeGrown, planForBulk, verifyStaged } from '../store/sql/staging.ts';
import { applyQuarantine, nextBatch, type StagedRows, upsertBatch } from '../store/sql/upsert-batch.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, type StepContext, step } from './step.ts';

/** Inserts and updates objects by verdict, batch by batch; then their links other than members. */
export function upsert(deps: Dependencies) {
  return async (rows: StagedRows): Promise<void> => {
    const config = await deps.configuration(rows.plan.configId);
    const { batchSize } = config.steps.upsert;
    await step('upsert', config.unreachableLimitMs, async (context) => {
      const attempt = await attemptOf(deps, rows.plan.claim, 'upsert');
      const { pool } = deps.store;
      await verifyStaged(pool, rows.plan, rows.staged);
      await fenced(pool, attempt, 'exclusive', async (client) => {
        await planForBulk(client, rows.staged);
        await applyQuarantine(client, rows);
      });
      const objects = await eachBatch(deps, { rows, batchSize, which: 'objects', context }, (after, upTo) =>
        fenced(pool, attempt, 'exclusive', (client) => upsertBatch(client, rows, after, upTo)),
      );
      await analyzeGrown(pool, 'object', objects);
      if (!rows.plan.steps.lookup) return;
      const links = await eachBatch(deps, { rows, batchSize, which: 'links', context }, (after, upTo) =>
        fenced(pool, attempt, 'exclusive', (client) => applyLinks(client, rows, 'others', after, upTo)),
      );
      await analyzeGrown(pool, 'link', links);
      await fenced(pool, attempt, 'exclusive', async (client) => {
        await planForBulk(client, rows.staged);
        await resolveArrivals(client, rows, 'others');
      });
    });
  };
}

interface Batches {
  readonly rows: StagedRows;
  readonly batchSize: number;
  readonly which: 'objects' | 'links';
  readonly context: StepContext;
}

/** Calls `apply` with the bounds of one batch after the other; stops between batches when cancelled. Returns the sum of what it returned. */
export async function eachBatch(
  deps: Dependencies,
  { rows, batchSize, which, context }: Batches,
  apply: (after: string, upTo: string) => Promise<number>,
): Promise<number> {
  let after = '-1';
  let written = 0;
  for (let batch = 1; ; batch++) {
    context.signal.throwIfAborted();
    const upTo = await nextBatch(deps.store.pool, rows, after, batchSize, which);
    if (upTo === null) return written;
    written += await apply(after, upTo);
    after = upTo;
    context.progress(undefined, batch * batchSize);
  }
}
