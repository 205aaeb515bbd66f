import { fenced } from '../store/fence.ts';
import { applyLinks, resolveArrivals } from '../store/sql/apply-links.ts';
import { analyzeGrown, verifyStaged } from '../store/sql/staging.ts';
import { applyQuarantine, type LinkPhase, nextBatch, type StagedRows, upsertBatch } from '../store/sql/upsert-batch.ts';
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
        await applyQuarantine(client, rows);
      });
      const objects = await eachBatch(deps, { rows, batchSize, phase: 'objects', context }, (after, upTo) =>
        fenced(pool, attempt, 'shared', (client) => upsertBatch(client, rows, after, upTo)),
      );
      await analyzeGrown(pool, 'object', objects);
      if (!rows.plan.steps.lookup) return;
      const links = await eachBatch(deps, { rows, batchSize, phase: 'others', context }, (after, upTo) =>
        fenced(pool, attempt, 'shared', (client) => applyLinks(client, rows, 'others', after, upTo)),
      );
      await analyzeGrown(pool, 'link', links);
      await fenced(pool, attempt, 'exclusive', async (client) => {
        await resolveArrivals(client, rows, 'others');
      });
    });
  };
}

interface Batches {
  readonly rows: StagedRows;
  readonly batchSize: number;
  readonly phase: 'objects' | LinkPhase;
  readonly context: StepContext;
}

/** Batches of one step that are applied at the same time: their objects are different ones. */
const sideBySide = 2;

/**
 * Calls `apply` with the bounds of each batch, two batches at a time; stops between batches when cancelled or when one has failed. Returns
 * the sum of what it returned, when all have ended.
 */
export async function eachBatch(
  deps: Dependencies,
  { rows, batchSize, phase, context }: Batches,
  apply: (after: string, upTo: string) => Promise<number>,
): Promise<number> {
  let bound: Promise<string | null> = Promise.resolve('-1');
  let failed = false;
  let batches = 0;
  let written = 0;
  const lane = async () => {
    while (!failed) {
      context.signal.throwIfAborted();
      const start = bound;
      const end = start.then((after) => (after === null ? null : nextBatch(deps.store.pool, rows, after, batchSize, phase)));
      bound = end;
      const [after, upTo] = await Promise.all([start, end]);
      if (after === null || upTo === null) return;
      written += await apply(after, upTo);
      context.progress(undefined, ++batches * batchSize);
    }
  };
  const lanes = Array.from({ length: sideBySide }, () =>
    lane().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
  return written;
}
