import type { RunPlan, Staged } from '../model/run.ts';
import { fenced } from '../store/fence.ts';
import { insertVerdicts, withdrawHeld } from '../store/sql/insert-verdicts.ts';
import { analyzeVerdicts, verifyStaged } from '../store/sql/staging.ts';
import type { StagedRows } from '../store/sql/upsert-batch.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, step } from './step.ts';

export interface LookupRequest {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
  /** What transform returned; null if it is disabled. */
  readonly mappingToken: string | null;
}

/**
 * Compares what was staged with what is stored: each item gets its verdict, and its references are found to differ or not. Held deletions
 * of what has shown itself present are withdrawn.
 */
export function lookup(deps: Dependencies) {
  return async ({ plan, staged, mappingToken }: LookupRequest): Promise<StagedRows> => {
    const config = await deps.configuration(plan.configId);
    return step('lookup', config.unreachableLimitMs, async ({ progress }) => {
      const attempt = await attemptOf(deps, plan.claim, 'lookup');
      const verdicts = await fenced(deps.store.pool, attempt, 'exclusive', async (client) => {
        await verifyStaged(client, plan, staged);
        await client.query(`delete from tidemark.staged_verdict where run_id = $1`, [plan.claim.runId]);
        const count = await insertVerdicts(client, attempt, { plan, staged, mappingToken, action: config.steps.cleanup.action });
        if (!plan.dryRun) await withdrawHeld(client, attempt.token, plan, staged);
        return count;
      });
      await analyzeVerdicts(deps.store.pool, verdicts);
      progress(undefined, verdicts);
      return { plan, staged, mappingToken, verdictToken: attempt.token };
    });
  };
}
