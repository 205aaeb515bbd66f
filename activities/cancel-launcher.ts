import { activityInfo } from '@temporalio/activity';
import type { Dependencies } from './dependencies.ts';
import { step } from './step.ts';

/**
 * Asks Temporal to cancel the launcher that runs this activity: a workflow closes as cancelled only if its cancellation was asked for, and
 * the server lets no workflow ask that of itself.
 */
export function cancelLauncher(deps: Dependencies) {
  return (): Promise<void> =>
    step('cancel-launcher', Number.POSITIVE_INFINITY, async () => {
      const { workflowExecution } = activityInfo();
      if (!workflowExecution) throw new Error('cancelLauncher runs in a workflow only');
      await deps.temporal.workflow.getHandle(workflowExecution.workflowId, workflowExecution.runId).cancel();
    });
}
