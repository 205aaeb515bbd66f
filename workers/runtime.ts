import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import type { Log } from '../connectors/connector.ts';

/** What of the process's one SDK runtime others need. */
interface InstalledRuntime {
  /** Where the SDK tells its own metrics, if it was asked to. */
  readonly metricsUrl?: string;
}

let installed: Promise<InstalledRuntime> | undefined;

/**
 * Routes what the Temporal SDK has to say into the process's log, before the first worker is made. Its reports of every failed workflow
 * and activity are for debugging: failures are recorded with the run, and shown by `tidemark run` and Temporal UI. A process has one
 * runtime: what the first caller asked for holds.
 */
export function installRuntime(log: Log, { metrics }: { readonly metrics: boolean }): Promise<InstalledRuntime> {
  installed ??= install(log, metrics);
  return installed;
}

async function install(log: Log, metrics: boolean): Promise<InstalledRuntime> {
  const logger = new DefaultLogger('WARN', ({ level, message, meta }) => {
    const fields = { error: meta?.error instanceof Error ? meta.error.message : undefined, workflowId: meta?.workflowId };
    if (level === 'ERROR') log.warn(message, fields);
    else log.debug(message, fields);
  });
  // The SDK's exporter is a server of its own and can't say which port it got: it stays on the loopback, and /metrics passes its text on.
  const bindAddress = metrics ? `127.0.0.1:${await freePort()}` : undefined;
  Runtime.install({
    logger,
    telemetryOptions: {
      logging: { forward: {}, filter: { core: 'ERROR', other: 'ERROR' } },
      ...(bindAddress === undefined
        ? {}
        : { metrics: { prometheus: { bindAddress, countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true } } }),
    },
  });
  return bindAddress === undefined ? {} : { metricsUrl: `http://${bindAddress}/metrics` };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
