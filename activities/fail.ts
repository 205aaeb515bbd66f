import type { RunFailure, RunSummary, StepRecord, SyncRequest } from '../model/run.ts';
import { failRun } from '../store/run-end.ts';
import { findRun } from '../store/run-summary.ts';
import { giveSessionsOfRunBack } from '../store/source-sessions.ts';
import type { Dependencies } from './dependencies.ts';
import { step } from './step.ts';

export interface FailRequest {
  readonly request: SyncRequest;
  /** The `syncIntegration` workflow whose end is recorded: this one, or one that ended without a word of its own. */
  readonly workflowId: string;
  readonly temporalRunId: string;
  readonly outcome: 'failed' | 'cancelled';
  readonly failure: RunFailure | null;
  readonly steps: Readonly<Record<string, StepRecord>>;
}

/** Records how a run ended that did not succeed, and removes its staging. Markers stay where they are. */
export function fail(deps: Dependencies) {
  return ({ request, ...end }: FailRequest): Promise<RunSummary> =>
    step('fail', Number.POSITIVE_INFINITY, async () => {
      const id = await failRun(deps.store.pool, {
        ...end,
        integration: request.integration,
        launcherId: request.launcherId,
        requestedMode: request.mode,
        requestedAt: request.requestedAt,
        decision: request.decision ?? null,
        dryRun: request.dryRun ?? false,
      });
      await giveSessionsOfRunBack(deps.store.pool, end.temporalRunId);
      return (await findRun(deps.store, id)) as RunSummary;
    });
}
