import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { Log } from '../connectors/connector.ts';

let installed = false;

/**
 * Routes what the Temporal SDK has to say into the process's log, before the first worker is made. Its reports of every failed workflow
 * and activity are for debugging: failures are recorded with the run, and shown by `tidemark run` and Temporal UI.
 */
export function installRuntime(log: Log): void {
  if (installed) return;
  installed = true;
  const logger = new DefaultLogger('WARN', ({ level, message, meta }) => {
    const fields = { error: meta?.error instanceof Error ? meta.error.message : undefined, workflowId: meta?.workflowId };
    if (level === 'ERROR') log.warn(message, fields);
    else log.debug(message, fields);
  });
  Runtime.install({ logger, telemetryOptions: { logging: { forward: {}, filter: { core: 'ERROR', other: 'ERROR' } } } });
}
