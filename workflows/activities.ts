import { proxyActivities, proxyLocalActivities, workflowInfo } from '@temporalio/workflow';
import type { Activities, WaitActivities } from '../activities/index.ts';
import { waitTaskQueue } from '../model/workflow-ids.ts';

const retry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '30 seconds' } as const;

/** Steps that open a session with the source: they run where the source can be reached, and may take as long as it does. */
export function sourceActivities(taskQueue: string | null | undefined) {
  return proxyActivities<Pick<Activities, 'begin' | 'query' | 'reread' | 'readHeld'>>({
    startToCloseTimeout: '24 hours',
    heartbeatTimeout: '30 seconds',
    retry,
    ...(taskQueue ? { taskQueue } : {}),
  });
}

/** Steps that work on the database alone. */
export const storeActivities = proxyActivities<
  Omit<Activities, 'begin' | 'query' | 'reread' | 'readHeld' | 'describeIntegration' | 'isCarried'>
>({
  startToCloseTimeout: '6 hours',
  heartbeatTimeout: '30 seconds',
  retry,
});

/** Looks that are not worth events of their own. */
export const glance = proxyLocalActivities<Pick<Activities, 'describeIntegration' | 'isCarried'>>({
  startToCloseTimeout: '10 seconds',
  retry,
});

/** Waiting for a run to close: many short attempts that add nothing to history. */
export function waitActivities() {
  return proxyActivities<WaitActivities>({
    taskQueue: waitTaskQueue(workflowInfo().taskQueue),
    startToCloseTimeout: '60 seconds',
    retry: { initialInterval: '1 second', backoffCoefficient: 1 },
  });
}
