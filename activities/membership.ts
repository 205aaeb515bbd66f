import { judgePlan } from '../model/deletion-limits.ts';
import { fenced } from '../store/fence.ts';
import { applyLinks, countMembers, countSurplus, resolveArrivals } from '../store/sql/apply-links.ts';
import { countRecent } from '../store/sql/count-recent.ts';
import { verifyStaged } from '../store/sql/staging.ts';
import type { StagedRows } from '../store/sql/upsert-batch.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, step } from './step.ts';
import { eachBatch } from './upsert.ts';

/** A number above every staged row's. */
const endOfRows = '9223372036854775807';

/** Makes the stored member links equal to the lists that were read, by set difference; removals beyond the limits are held. */
export function membership(deps: Dependencies) {
  return async (rows: StagedRows): Promise<void> => {
    const config = await deps.configuration(rows.plan.configId);
    const { limits } = config.steps.membership;
    await step('membership', config.unreachableLimitMs, async (context) => {
      const attempt = await attemptOf(deps, rows.plan.claim, 'membership');
      const { pool } = deps.store;
      await verifyStaged(pool, rows.plan, rows.staged);
      const held = await fenced(pool, attempt, 'exclusive', async (client) => {
        const { integration, runId } = rows.plan.claim;
        const recent = await countRecent(client, integration, runId);
        const limited: Record<string, string> = {};
        for (const [stream, removals] of await countSurplus(client, rows, endOfRows)) {
          const active = await countMembers(client, integration, stream);
          const verdict = judgePlan({ candidates: removals, active, recent: recent(stream).members, limits, emptyListing: false });
          if (verdict.held) limited[stream] = verdict.reason;
        }
        return limited;
      });
      await eachBatch(deps, { rows, batchSize: config.steps.upsert.batchSize, phase: 'members', context }, (after, upTo) =>
        fenced(pool, attempt, 'shared', (client) => applyLinks(client, rows, 'members', after, upTo, held)),
      );
      await fenced(pool, attempt, 'exclusive', async (client) => {
        await resolveArrivals(client, rows, 'members');
      });
    });
  };
}
