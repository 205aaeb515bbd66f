import { activityInfo } from '@temporalio/activity';
import type { LaunchRequest, RunSummary } from '../model/run.ts';
import { findRun } from '../store/run-summary.ts';
import type { Dependencies } from './dependencies.ts';
import { step } from './step.ts';

export interface OutcomeRequest {
  readonly request: LaunchRequest;
  readonly requestedAt: string;
  readonly outcome: 'skipped' | 'cancelled';
  readonly reason: string;
}

/** Records a request that no run was started for: skipped, or cancelled before. Recording twice is recording once. */
export function recordOutcome(deps: Dependencies) {
  return ({ request, requestedAt, outcome, reason }: OutcomeRequest): Promise<RunSummary> =>
    step('record-outcome', Number.POSITIVE_INFINITY, async () => {
      const { workflowExecution } = activityInfo();
      if (!workflowExecution) throw new Error('recordOutcome runs in a workflow only');
      const { rows } = await deps.store.pool.query<{ id: string }>(
        `insert into tidemark.sync_run
           (integration_id, workflow_id, temporal_run_id, launcher_id, requested_mode, requested_streams, outcome, reason, requested_at, finished_at, decision,
            dry_run)
         values ($1, $2, $3, $2, $4, $5, $6, $7, $8, now(), $9, $10)
         on conflict (temporal_run_id) do update set reason = excluded.reason
         returning id`,
        [
          request.integration,
          workflowExecution.workflowId,
          workflowExecution.runId,
          request.mode,
          request.streams ?? null,
          outcome,
          reason,
          requestedAt,
          request.decision ? JSON.stringify(request.decision) : null,
          request.dryRun ?? false,
        ],
      );
      return (await findRun(deps.store, rows[0]?.id as string)) as RunSummary;
    });
}
