import { activityInfo } from '@temporalio/activity';
import type { RunSummary, SyncRequest } from '../model/run.ts';
import { fenced } from '../store/fence.ts';
import { declineRun } from '../store/run-end.ts';
import { findRun, findRunOfWorkflow } from '../store/run-summary.ts';
import { takeUpHeld } from '../store/sql/decide-held.ts';
import { claimForRun } from './begin.ts';
import type { Dependencies } from './dependencies.ts';
import { attemptOf, step } from './step.ts';
import { takeUpPlan } from './take-up-plan.ts';

/**
 * The whole of a run that declines held deletions: claims the integration, drops the rows of the plan that are still held, and ends. The
 * source is not asked. A run that has ended is only reported again.
 */
export function decline(deps: Dependencies) {
  return (request: SyncRequest): Promise<RunSummary> =>
    step('decline', Number.POSITIVE_INFINITY, async () => {
      const before = await findRunOfWorkflow(deps.store, activityInfo().workflowExecution?.runId ?? '');
      if (before?.outcome === 'succeeded') return before;
      const { claim } = await claimForRun(deps, request);
      const { digest, reason } = await takeUpPlan(deps, claim, request);
      const attempt = await attemptOf(deps, claim, 'decline');
      const { pool } = deps.store;
      await fenced(pool, attempt, 'exclusive', (client) => takeUpHeld(client, claim.runId, digest));
      await declineRun(pool, attempt, reason);
      return (await findRun(deps.store, claim.runId)) as RunSummary;
    });
}
