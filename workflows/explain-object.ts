import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';

/** The argument of `explainObject`: numbers and names of Tidemark's own, never a key of a person. */
export interface ExplainObjectRequest {
  /** Number of the stored question. */
  readonly request: string;
  /** Task queue of the integration's source; absent: the common one. */
  readonly sourceTaskQueue?: string;
}

/** Has a stored question of `explain` answered by a worker that can reach the source. */
export async function explainObject({ request, sourceTaskQueue }: ExplainObjectRequest): Promise<void> {
  const { explain } = proxyActivities<Pick<Activities, 'explain'>>({
    startToCloseTimeout: '1 minute',
    heartbeatTimeout: '30 seconds',
    retry: { maximumAttempts: 2 },
    ...(sourceTaskQueue ? { taskQueue: sourceTaskQueue } : {}),
  });
  await explain(request);
}
