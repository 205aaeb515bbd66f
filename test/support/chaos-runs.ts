import type { Client } from '@temporalio/client';

/** Resets a run to its last workflow task, as an operator does by hand: another Temporal run goes on with what the history holds. */
export async function resetRun(temporal: Client, workflowId: string): Promise<void> {
  const handle = temporal.workflow.getHandle(workflowId);
  const { runId } = await handle.describe();
  const { events } = await handle.fetchHistory();
  const last = events?.filter((event) => event.workflowTaskCompletedEventAttributes).at(-1)?.eventId;
  await temporal.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    workflowTaskFinishEventId: last ?? null,
    requestId: crypto.randomUUID(),
    reason: 'by the test',
  });
}
