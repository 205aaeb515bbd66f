import type { RunPlan, RunSummary, Staged, StepRecord } from '../model/run.ts';
import { commitRun } from '../store/run-end.ts';
import { findRun } from '../store/run-summary.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, step } from './step.ts';

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
      const before = await findRun(deps.store, runId);
      if (before?.outcome === 'succeeded') return before;
      await commitRun(deps.store.pool, await attemptOf(deps, plan.claim, 'commit'), { plan, staged, steps });
      return (await findRun(deps.store, runId)) as RunSummary;
    });
  };
}
