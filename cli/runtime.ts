import { DefaultLogger, Runtime } from '@temporalio/worker';

/** Sets up Temporal's runtime for a process that works: warnings as one line each, without stacks. Once a process, before any worker. */
export function installRuntime(write: (level: string, message: string, fields?: Readonly<Record<string, unknown>>) => void): void {
  Runtime.install({
    logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
      // The worker that carries waiting launchers has activities only, and means it.
      if (!message.startsWith('No workflows registered')) write(level.toLowerCase(), message, fieldsOf(meta));
    }),
  });
}

const told = ['workflowId', 'activityType', 'workflowType', 'attempt', 'taskQueue'];

function fieldsOf(meta: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const error = meta.error;
  return {
    ...Object.fromEntries(told.flatMap((name) => (meta[name] === undefined ? [] : [[name, meta[name]]]))),
    ...(error instanceof Error ? { error: error.message } : {}),
  };
}
