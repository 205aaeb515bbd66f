import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { workflowCode } from '../../workers/workflow-code.ts';
import type { HistoryJson } from './history-file.ts';

Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), telemetryOptions: { logging: { filter: 'OFF', forward: {} } } });

const code = await workflowCode();

/**
 * Replays a history with the workflows of this checkout, as a worker does that takes over a run: no server, no activities. Rejects with
 * `DeterminismViolationError` if the workflow asks for something else than the history says it did: other kinds of commands, other
 * activities or children, or an order of its own. Arguments and results are not compared.
 */
export async function replay(history: HistoryJson): Promise<void> {
  const started = history.events[0]?.workflowExecutionStartedEventAttributes as { readonly workflowId: string } | undefined;
  if (!started) throw new Error('The history does not begin with the start of a workflow.');
  await Worker.runReplayHistory(code, history, started.workflowId);
}
