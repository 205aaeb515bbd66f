import type { Limits } from '../model/config/types.ts';
import { activeThatSettle, judgePlan } from '../model/deletion-limits.ts';
import { applyLinks, countMembers, countSurplus } from '../store/sql/apply-links.ts';
import { resolveArrivals } from '../store/sql/arrivals.ts';
import { countRecent } from '../store/sql/count-recent.ts';
import { verifyStaged } from '../store/sql/staging.ts';
import type { StagedRows } from '../store/sql/upsert-batch.ts';
import { eachBatch } from './batches.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, step } from './step.ts';
import { fencedWriter } from './step-writer.ts';
import type { StepParts } from './upsert.ts';

/** A number above every staged row's. */
const endOfRows = '9223372036854775807';

/** Makes the stored member links equal to the lists that were read, by set difference; removals beyond the limits are held. */
export function membership(deps: Dependencies) {
  return async (rows: StagedRows): Promise<void> => {
    const config = await deps.configuration(rows.plan.configId);
    const { batchSize } = config.steps.upsert;
    await step('membership', config.unreachableLimitMs, async (context) => {
      const { pool } = deps.store;
      const writer = fencedWriter(pool, await attemptOf(deps, rows.plan.claim, 'membership'));
      await verifyStaged(pool, rows.plan, rows.staged);
      await applyMemberships({ writer, rows, batchSize, context }, config.steps.membership.limits);
    });
  };
}

/** What the step does, with the writer's transactions. */
export async function applyMemberships(parts: StepParts, limits: Limits): Promise<void> {
  const { writer, rows } = parts;
  const held = await writer.transaction('exclusive', async (client) => {
    // What was approved is removed, and nothing else: no limit has a say.
    if (rows.plan.approval) return {};
    const { integration, runId } = rows.plan.claim;
    const recent = await countRecent(client, integration, runId);
    const limited: Record<string, string> = {};
    for (const [stream, removals] of await countSurplus(client, rows, endOfRows)) {
      const plan = { candidates: removals, recent: recent(stream).members, limits };
      const active = await countMembers(client, integration, stream, activeThatSettle(plan));
      const verdict = judgePlan({ ...plan, active, emptyListing: false });
      if (verdict.held) limited[stream] = verdict.reason;
    }
    return limited;
  });
  await eachBatch({ ...parts, phase: 'members' }, (client, after, upTo) => applyLinks(client, rows, 'members', after, upTo, held));
  await writer.transaction('exclusive', (client) => resolveArrivals(client, rows, 'members'));
}
