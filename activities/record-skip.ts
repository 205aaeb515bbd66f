import { activityInfo } from '@temporalio/activity';
import type { LaunchRequest, RunSummary } from '../model/run.ts';
import { findRun } from '../store/run-summary.ts';
import type { Dependencies } from './dependencies.ts';
import { step } from './step.ts';

export interface SkipRequest {
  readonly request: LaunchRequest;
  readonly requestedAt: string;
  /** Why, without saying what was running. */
  readonly reason: string;
}

/** Records a request that was not carried out, as a run with the outcome `skipped`. Recording twice is recording once. */
export function recordSkip(deps: Dependencies) {
  return ({ request, requestedAt, reason }: SkipRequest): Promise<RunSummary> =>
    step('record-skip', Number.POSITIVE_INFINITY, async () => {
      const { workflowExecution } = activityInfo();
      if (!workflowExecution) throw new Error('recordSkip runs in a workflow only');
      const { rows } = await deps.store.pool.query<{ id: string }>(
        `insert into tidemark.sync_run
           (integration_id, workflow_id, temporal_run_id, launcher_id, requested_mode, requested_streams, outcome, reason, requested_at, finished_at)
         values ($1, $2, $3, $2, $4, $5, 'skipped', $6, $7, now())
         on conflict (temporal_run_id) do update set reason = excluded.reason
         returning id`,
        [
          request.integration,
          workflowExecution.workflowId,
          workflowExecution.runId,
          request.mode,
          request.streams ?? null,
          reason,
          requestedAt,
        ],
      );
      return (await findRun(deps.store, rows[0]?.id as string)) as RunSummary;
    });
}
