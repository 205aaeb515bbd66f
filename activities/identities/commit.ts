import type { IdentityPlan } from '../../model/identity-run.ts';
import type { RunSummary, StepRecord } from '../../model/run.ts';
import { commitIdentities as commitWithin } from '../../store/identities/commit.ts';
import { findRun } from '../../store/run-summary.ts';
import type { Dependencies } from '../dependencies.ts';
import { attemptOf, step } from '../step.ts';

export interface CommitIdentitiesRequest {
  readonly plan: IdentityPlan;
  readonly steps: Readonly<Record<string, StepRecord>>;
}

/** Ends the run in one transaction. A run that has committed is only reported again. */
export function commitIdentities(deps: Dependencies) {
  return ({ plan, steps }: CommitIdentitiesRequest): Promise<RunSummary> =>
    step('commit', Number.POSITIVE_INFINITY, async () => {
      const { runId } = plan.claim;
      const before = await findRun(deps.store, runId);
      if (before?.outcome === 'succeeded') return before;
      await commitWithin(deps.store.pool, await attemptOf(deps, plan.claim, 'commit'), { plan, steps });
      return (await findRun(deps.store, runId)) as RunSummary;
    });
}
