import { TidemarkFailure } from '../model/failure.ts';
import type { Claim, SyncRequest } from '../model/run.ts';
import { inTransaction } from '../store/fence.ts';
import { hasTakenUp } from '../store/sql/decide-held.ts';
import { findShownPlan, type ShownPlan } from '../store/sql/held-plans.ts';
import type { Dependencies } from './dependencies.ts';

/** A plan that a run decides on, and why the run does, in words. */
export interface PlanTakenUp extends ShownPlan {
  readonly reason: string;
}

/**
 * The plan that a request decides on. Rows that were held since it was shown are not part of it; rows that are no longer held are nothing to
 * decide. Fails with `PlanChanged` if none of it is held.
 */
export async function takeUpPlan(deps: Dependencies, claim: Claim, { mode, decision }: SyncRequest): Promise<PlanTakenUp> {
  const { integration, runId } = claim;
  const digest = decision?.digest ?? '';
  const again = `Look again with "tidemark deletions list ${integration}" and decide on the digest that it shows.`;
  return inTransaction(deps.store.pool, `take-up/${integration}`, async (client) => {
    const plan = await findShownPlan(client, digest);
    if (plan === undefined || plan.integration !== integration) {
      throw new TidemarkFailure('PlanChanged', `Integration ${integration} has no plan of held deletions with the digest ${digest}.`, {
        integration,
        remedy: again,
      });
    }
    if (plan.open === 0 && !(await hasTakenUp(client, runId))) {
      throw new TidemarkFailure(
        'PlanChanged',
        `The plan ${digest} of integration ${integration}, stream ${plan.stream}, has changed: none of its ${plan.rows} deletions is still held. They have come back, were applied within the limits, or were decided on before. Nothing was changed.`,
        { integration, stream: plan.stream, remedy: again },
      );
    }
    return {
      ...plan,
      reason: `plan ${digest} of stream ${plan.stream} was ${mode === 'approve' ? 'approved' : 'declined'}: ${plan.open} of its ${plan.rows} deletions are still held`,
    };
  });
}
