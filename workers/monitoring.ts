import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Client } from '@temporalio/client';
import type { Worker } from '@temporalio/worker';
import { TidemarkFailure } from '../model/failure.ts';
import { configurationReader } from '../store/configurations.ts';
import { readMetrics } from '../store/read-metrics.ts';
import { requireMigrated } from '../store/require-migrated.ts';
import { openStore, type Store } from '../store/store.ts';
import { exposition, expositionType } from './exposition.ts';
import { ownMetrics } from './metrics.ts';

export interface MonitoringOptions {
  readonly address: MonitoringAddress;
  readonly databaseUrl: string;
  readonly temporal: Client;
  readonly taskQueue: string;
  /** Those of this process; none while it starts. */
  readonly workers: readonly Worker[];
  /** Where the Temporal SDK tells its own metrics. */
  readonly sdkMetricsUrl: string | undefined;
}

export interface MonitoringAddress {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

/** The HTTP server of a worker process that tells how it is. */
export interface Monitoring extends AsyncDisposable {
  readonly url: string;
}

/** Longer than this nobody who probes waits for an answer. */
const answerWithinMs = 5_000;

/**
 * Serves `/healthz` (the process lives), `/readyz` (PostgreSQL has the tables, Temporal answers, the workers take tasks) and `/metrics`. It has
 * database connections of its own, so that it answers while all others are at work.
 */
export async function startMonitoring(options: MonitoringOptions): Promise<Monitoring> {
  const { host, port } = options.address;
  const store = await openStore(options.databaseUrl, { maxConnections: 2 });
  const metrics = collector(options, store);
  const routes: Readonly<Record<string, () => Promise<Answer>>> = {
    '/healthz': async () => ({ status: 200, type: 'text/plain', body: 'alive\n' }),
    '/readyz': () => readiness(options, store),
    '/metrics': async () => ({ status: 200, type: expositionType, body: await metrics() }),
  };
  const server = createServer((request, response) => {
    const route = routes[new URL(request.url ?? '/', 'http://worker').pathname];
    if (route === undefined)
      return answer(response, { status: 404, type: 'text/plain', body: 'There is /healthz, /readyz and /metrics.\n' });
    route().then(
      (given) => answer(response, given),
      () => answer(response, { status: 500, type: 'text/plain', body: 'It failed.\n' }),
    );
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `Metrics can't be served at ${host}:${port} (${(error as NodeJS.ErrnoException).code ?? String(error)}).`,
      { remedy: 'Choose a free port and an address of this machine with --metrics-address.' },
      error,
    );
  }
  // Probes alone are no reason to go on living.
  server.unref();
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await store[Symbol.asyncDispose]();
    },
  };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function answer(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

async function readiness(options: MonitoringOptions, store: Store): Promise<Answer> {
  const checks = {
    postgresql: await tellOutcome(requireMigrated(store)),
    temporal: await tellOutcome(askTemporal(options)),
    worker: await tellOutcome(requirePolling(options.workers)),
  };
  const ready = Object.values(checks).every((outcome) => outcome === 'ok');
  return { status: ready ? 200 : 503, type: 'application/json', body: `${JSON.stringify({ ready, ...checks })}\n` };
}

/** `ok`, or what is wrong: a code or one of our own sentences, never a text that could hold an address with a password. */
async function tellOutcome(work: Promise<unknown>): Promise<string> {
  try {
    await within(work);
    return 'ok';
  } catch (error) {
    if (error instanceof TidemarkFailure) return error.message;
    return `failed (${String((error as { code?: unknown }).code ?? (error as Error).name)})`;
  }
}

async function within<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new TidemarkFailure('SourceUnavailable', `no answer within ${answerWithinMs} ms`)), answerWithinMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks for the queue itself: the answer depends on the namespace and on the right to use it. */
async function askTemporal({ temporal, taskQueue }: MonitoringOptions): Promise<void> {
  const { namespace } = temporal.options;
  await temporal.workflowService.describeTaskQueue({ namespace, taskQueue: { name: taskQueue }, taskQueueType: 1 });
}

async function requirePolling(workers: readonly Worker[]): Promise<void> {
  if (workers.length === 0) throw new TidemarkFailure('SourceUnavailable', 'takes no tasks: starting');
  for (const worker of workers) {
    const { runState } = worker.getStatus();
    if (runState !== 'RUNNING') throw new TidemarkFailure('SourceUnavailable', `takes no tasks: ${runState.toLowerCase()}`);
  }
}

/** Metrics as text; who asks while they are being read gets the same answer. */
function collector(options: MonitoringOptions, store: Store): () => Promise<string> {
  const configuration = configurationReader(store);
  let reading: Promise<string> | undefined;
  async function read(): Promise<string> {
    const stored = await within(readMetrics(store, configuration)).catch(() => undefined);
    const carried = new Set(stored?.openRuns.map(({ launcher }) => launcher));
    const waiting = await within(waitingRequests(options, carried)).catch(() => undefined);
    return exposition(ownMetrics({ stored, waiting })) + (await sdkMetrics(options.sdkMetricsUrl));
  }
  return () => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
}

/** Open launchers of this queue that no run is at work for, by integration. */
async function waitingRequests(
  { temporal, taskQueue }: MonitoringOptions,
  carried: ReadonlySet<string | null>,
): Promise<ReadonlyMap<string, number>> {
  const waiting = new Map<string, number>();
  const query = `WorkflowType = 'launchSync' AND ExecutionStatus = 'Running' AND TaskQueue = '${taskQueue}'`;
  for await (const { workflowId, searchAttributes } of temporal.workflow.list({ query })) {
    const integration = searchAttributes.IntegrationId?.[0];
    if (typeof integration === 'string' && !carried.has(workflowId)) waiting.set(integration, (waiting.get(integration) ?? 0) + 1);
  }
  return waiting;
}

async function sdkMetrics(url: string | undefined): Promise<string> {
  if (url === undefined) return '';
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(answerWithinMs) })).text();
  } catch {
    return '';
  }
}
