import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import { NativeConnection, Worker, type WorkerInterceptors } from '@temporalio/worker';
import type { Dependencies } from '../activities/dependencies.ts';
import { createActivities, createWaitActivities } from '../activities/index.ts';
import type { Log } from '../connectors/connector.ts';
import type { ConnectorRegistry } from '../connectors/registry.ts';
import { readSecret } from '../model/config/secrets.ts';
import type { IdentitiesConfig } from '../model/config/types.ts';
import { waitTaskQueue } from '../model/workflow-ids.ts';
import { configurationReader } from '../store/configurations.ts';
import { openStore } from '../store/store.ts';
import { type MonitoringAddress, startMonitoring } from './monitoring.ts';
import { ensureSearchAttributes } from './namespace.ts';
import { installRuntime } from './runtime.ts';
import { workflowCode } from './workflow-code.ts';

/** How to reach Temporal; what the SDK's environment and TOML profile give (`loadClientConnectConfig`). */
export interface TemporalTarget {
  readonly connection: ConnectionOptions;
  readonly namespace: string;
}

export interface WorkerSettings {
  readonly databaseUrl: string;
  readonly temporal: TemporalTarget;
  readonly taskQueue: string;
  readonly connectors: ConnectorRegistry;
  readonly log: Log;
  /** Around every step, for tracing and the like. */
  readonly interceptors?: WorkerInterceptors;
  /** Worker versioning: new runs start on the deployment's current version, and end on the version they began with. */
  readonly deployment?: { readonly name: string; readonly buildId: string };
  /** Where to serve health, readiness and metrics; absent: nowhere. */
  readonly metricsAddress?: MonitoringAddress;
}

/** A worker process's parts: one worker for workflows and steps, one for launchers that wait. */
export interface RunningWorker {
  /** Ends when the worker was told to stop (`stop`, SIGINT, SIGTERM) and has finished, or fails with what broke it. */
  readonly finished: Promise<void>;
  /** Where health, readiness and metrics are served, if they are. */
  readonly monitoringUrl?: string;
  /** Stops taking work, gives running steps 30 s, then cancels them; they are tried again elsewhere. */
  stop(): Promise<void>;
}

/** Waiting launchers that one process can carry; each costs one open request and a little memory. */
const waitSlots = 2_000;

export async function startWorker(settings: WorkerSettings): Promise<RunningWorker> {
  const undo = new AsyncDisposableStack();
  try {
    return await start(settings, undo);
  } catch (error) {
    await undo.disposeAsync().catch(() => undefined);
    throw error;
  }
}

async function start(settings: WorkerSettings, undo: AsyncDisposableStack): Promise<RunningWorker> {
  const { temporal, taskQueue } = settings;
  const { metricsUrl: sdkMetricsUrl } = await installRuntime(settings.log, { metrics: settings.metricsAddress !== undefined });
  const connection = await Connection.connect(temporal.connection);
  undo.defer(() => connection.close());
  await ensureSearchAttributes(connection, temporal.namespace);
  const nativeConnection = await NativeConnection.connect(nativeOptions(temporal.connection));
  undo.defer(() => nativeConnection.close());
  const store = undo.use(await openStore(settings.databaseUrl));
  const deps: Dependencies = {
    store,
    temporal: new Client({ connection, namespace: temporal.namespace }),
    connectors: settings.connectors,
    configuration: configurationReader(store),
    identities: configurationReader<IdentitiesConfig>(store),
    secret: async (reference) => readSecret(reference, process.env),
    log: settings.log,
  };
  const workers: Worker[] = [];
  const monitoring = settings.metricsAddress
    ? undo.use(
        await startMonitoring({
          address: settings.metricsAddress,
          databaseUrl: settings.databaseUrl,
          temporal: deps.temporal,
          taskQueue,
          workers,
          sdkMetricsUrl,
        }),
      )
    : undefined;
  const common = {
    connection: nativeConnection,
    namespace: temporal.namespace,
    shutdownGraceTime: '30 seconds',
    shutdownForceTime: '60 seconds',
    // Heartbeats carry the live progress; the default would hold them back for most of the heartbeat timeout.
    maxHeartbeatThrottleInterval: '1 second',
    defaultHeartbeatThrottleInterval: '1 second',
  } as const;
  const work = await Worker.create({
    ...common,
    taskQueue,
    activities: createActivities(deps),
    ...(await workflowCode()),
    ...(settings.interceptors ? { interceptors: settings.interceptors } : {}),
    ...(settings.deployment
      ? {
          workerDeploymentOptions: {
            version: { deploymentName: settings.deployment.name, buildId: settings.deployment.buildId },
            useWorkerVersioning: true,
            defaultVersioningBehavior: 'PINNED' as const,
          },
        }
      : {}),
  });
  const waiting = await Worker.create({
    ...common,
    taskQueue: waitTaskQueue(taskQueue),
    activities: createWaitActivities(deps),
    maxConcurrentActivityTaskExecutions: waitSlots,
  });
  workers.push(work, waiting);
  const finished = (async () => {
    try {
      await Promise.all(workers.map((worker) => worker.run().finally(() => workers.forEach(shutDown))));
    } finally {
      await undo.disposeAsync().catch(() => undefined);
    }
  })();
  finished.catch(() => undefined);
  return {
    finished,
    ...(monitoring === undefined ? {} : { monitoringUrl: monitoring.url }),
    async stop() {
      workers.forEach(shutDown);
      await finished;
    },
  };
}

function shutDown(worker: Worker): void {
  if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** The native connection knows no interceptors and call options; address, TLS, API key and metadata are the same. */
function nativeOptions({ address, tls, metadata, apiKey }: ConnectionOptions): Parameters<typeof NativeConnection.connect>[0] {
  return {
    ...(address === undefined ? {} : { address }),
    ...(tls === undefined || tls === null ? {} : { tls }),
    ...(typeof apiKey === 'string' ? { apiKey } : {}),
    ...(metadata === undefined ? {} : { metadata }),
  };
}
