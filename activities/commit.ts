import { TidemarkFailure } from '../model/failure.ts';
import type { RunPlan, RunSummary, Staged, StepRecord } from '../model/run.ts';
import { commitRun } from '../store/run-end.ts';
import { findRun } from '../store/run-summary.ts';
import type { Dependencies } from './dependencies.ts';
import { isOpen, requireOwnClaim, step } from './step.ts';

export interface CommitRequest {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
  readonly steps: Readonly<Record<string, StepRecord>>;
}

/** Ends the run in one transaction: markers, totals, staging, change feed. A run that has committed is only reported again. */
export function commit(deps: Dependencies) {
  return async ({ plan, staged, steps }: CommitRequest): Promise<RunSummary> => {
    const config = await deps.configuration(plan.configId);
    return step('commit', config.unreachableLimitMs, async () => {
      const { runId } = plan.claim;
      try {
        requireOwnClaim(plan.claim);
        await commitRun(deps.store.pool, isOpen(deps), { plan, staged, steps });
      } catch (error) {
        // An attempt that committed gave the claim back.
        const stale = error instanceof TidemarkFailure && error.type === 'StaleRun';
        if (!stale || (await findRun(deps.store, runId))?.outcome !== 'succeeded') throw error;
      }
      return (await findRun(deps.store, runId)) as RunSummary;
    });
  };
}
