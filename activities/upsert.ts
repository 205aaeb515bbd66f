import { applyLinks } from '../store/sql/apply-links.ts';
import { resolveArrivals } from '../store/sql/arrivals.ts';
import { applyQuarantine } from '../store/sql/quarantine.ts';
import { verifyStaged } from '../store/sql/staging.ts';
import { type StagedRows, upsertBatch } from '../store/sql/upsert-batch.ts';
import { eachBatch, linkLists } from './batches.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, type StepContext, step } from './step.ts';
import { fencedWriter, type StepWriter } from './step-writer.ts';

/** Inserts and updates objects by verdict, batch by batch; then their links other than members. */
export function upsert(deps: Dependencies) {
  return async (rows: StagedRows): Promise<void> => {
    const config = await deps.configuration(rows.plan.configId);
    const { batchSize } = config.steps.upsert;
    await step('upsert', config.unreachableLimitMs, async (context) => {
      const { pool } = deps.store;
      const writer = fencedWriter(pool, await attemptOf(deps, rows.plan.claim, 'upsert'));
      await verifyStaged(pool, rows.plan, rows.staged);
      await upsertRows({ writer, rows, batchSize, context });
    });
  };
}

export interface StepParts {
  readonly writer: StepWriter;
  readonly rows: StagedRows;
  readonly batchSize: number;
  readonly context: StepContext;
}

/** What the step does, with the writer's transactions. */
export async function upsertRows(parts: StepParts): Promise<void> {
  const { writer, rows } = parts;
  await writer.transaction('exclusive', (client) => applyQuarantine(client, rows));
  const objects = await eachBatch({ ...parts, phase: 'objects' }, (client, after, upTo) => upsertBatch(client, rows, after, upTo));
  await writer.grown('object', objects);
  if (!rows.plan.steps.lookup) return;
  const created = rows.plan.creates ? await linkLists(parts) : 0;
  const links =
    created + (await eachBatch({ ...parts, phase: 'others' }, (client, after, upTo) => applyLinks(client, rows, 'others', after, upTo)));
  await writer.grown('link', links);
  await writer.transaction('exclusive', (client) => resolveArrivals(client, rows, 'others'));
}
