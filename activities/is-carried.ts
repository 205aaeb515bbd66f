import { activityInfo } from '@temporalio/activity';
import { syncWorkflowId } from '../model/workflow-ids.ts';
import type { Dependencies } from './dependencies.ts';

/** Whether the run that the asking launcher has started is open. */
export function isCarried(deps: Dependencies) {
  return async (integration: string): Promise<boolean> => {
    const { workflowExecution: launcher } = activityInfo();
    const { status, parentExecution } = await deps.temporal.workflow.getHandle(syncWorkflowId(integration)).describe();
    return status.name === 'RUNNING' && parentExecution?.workflowId === launcher?.workflowId;
  };
}
