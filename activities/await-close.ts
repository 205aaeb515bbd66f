import { cancellationSignal } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import type { LaunchRequest } from '../model/run.ts';
import { syncWorkflowId } from '../model/workflow-ids.ts';
import { findCovering } from '../store/sql/find-covering.ts';
import type { Dependencies } from './dependencies.ts';

export interface AwaitCloseRequest {
  readonly request: LaunchRequest;
  /** When the waiting launcher started, Temporal's time; ISO 8601, UTC. */
  readonly waitingSince: string;
}

/** An attempt asks no longer than this; then the next one goes on asking. */
const attemptMs = 50_000;

/**
 * Waits until the run that is in the way has closed, however it closed. Returns the number of a run that covers the waiting request, or null.
 * An attempt that ends before that fails in a way that neither logs, counts as an error, nor adds history.
 */
export function awaitClose(deps: Dependencies) {
  return async ({ request, waitingSince }: AwaitCloseRequest): Promise<string | null> => {
    const signal = AbortSignal.any([cancellationSignal(), AbortSignal.timeout(attemptMs)]);
    try {
      await deps.temporal.withAbortSignal(signal, () => untilClosed(deps, syncWorkflowId(request.integration)));
    } catch (error) {
      if (cancellationSignal().aborted) throw error;
      throw ApplicationFailure.create({
        type: 'StillRunning',
        message: 'The run in the way is still open.',
        nextRetryDelay: '100 milliseconds',
        category: ApplicationFailureCategory.BENIGN,
      });
    }
    return request.mode === 'complete' && !request.dryRun ? findCovering(deps.store.pool, request, new Date(waitingSince)) : null;
  };
}

async function untilClosed(deps: Dependencies, workflowId: string): Promise<void> {
  const { temporal } = deps;
  let runId: string;
  try {
    const description = await temporal.workflow.getHandle(workflowId).describe();
    if (description.status.name !== 'RUNNING') return;
    runId = description.runId;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return;
    throw error;
  }
  let nextPageToken: Uint8Array | undefined;
  for (;;) {
    // One long poll for the close event: the server answers when the run closes, or after a while with nothing.
    const response = await temporal.workflowService.getWorkflowExecutionHistory({
      namespace: temporal.options.namespace,
      execution: { workflowId, runId },
      waitNewEvent: true,
      historyEventFilterType: 2,
      ...(nextPageToken ? { nextPageToken } : {}),
    });
    if ((response.history?.events?.length ?? 0) > 0) return;
    nextPageToken = response.nextPageToken?.length ? response.nextPageToken : undefined;
  }
}
