import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { openStore } from '../../store/store.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { startTemporal } from '../../workers/embedded/temporal.ts';
import { findTemporalCli } from '../../workers/embedded/temporal-cli.ts';
import { limitHeapGrowth } from '../../workers/heap.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { applyConfiguration } from '../apply.ts';
import { defaultTaskQueue } from '../client.ts';
import { readConfiguration } from '../configuration-file.ts';
import { builtInConnectors } from '../connectors.ts';
import { connectTemporal } from '../context.ts';
import { exitCode } from '../exit-codes.ts';
import { addCommand, type ConfigOptions, type MetricsOptions, parseCount, processLog, withConfig, withMetrics } from '../options.ts';
import { print, printJson, tell } from '../output.ts';
import { removeConnection, stateDirectory, writeConnection } from '../up-connection.ts';
import { formatPlan } from './apply.ts';

interface UpOptions extends ConfigOptions, MetricsOptions {
  readonly postgresPort?: number;
  readonly temporalPort?: number;
  readonly uiPort?: number;
}

export function addUp(program: Command): void {
  withMetrics(
    withConfig(
      addCommand(
        program,
        'up',
        'run everything on this machine, until Ctrl-C: PostgreSQL, Temporal and a worker; state is kept in .tidemark/',
        'tidemark up\ntidemark up --ui-port 8233',
      ),
    ),
  )
    .addOption(new Option('--postgres-port <port>', 'default: a free one').argParser(parseCount))
    .addOption(new Option('--temporal-port <port>', 'default: a free one').argParser(parseCount))
    .addOption(new Option('--ui-port <port>', "of Temporal's web interface; default: a free one").argParser(parseCount))
    .action(up);
}

async function up({ config, postgresPort, temporalPort, uiPort, metricsAddress, json }: UpOptions): Promise<void> {
  const configuration = existsSync(config) ? readConfiguration(config, { secrets: true }).configuration : undefined;
  const stopped = firstSignal();
  limitHeapGrowth();
  // Loaded here alone: it takes longer than most commands.
  const { startWorker } = await import('../../workers/worker.ts');
  await mkdir(stateDirectory, { recursive: true, mode: 0o755 });
  await using undo = new AsyncDisposableStack();
  tell('Starting PostgreSQL ...');
  const postgres = await startPostgres({
    dataDir: join(stateDirectory, 'postgres'),
    ...(postgresPort === undefined ? {} : { port: postgresPort }),
    log: processLog,
  });
  undo.defer(() => postgres.stop());
  tell('Starting Temporal ...');
  const temporal = await startTemporal({
    cli: await findTemporalCli({ log: processLog }),
    dbFile: join(stateDirectory, 'temporal.db'),
    ...(temporalPort === undefined ? {} : { port: temporalPort }),
    ...(uiPort === undefined ? {} : { uiPort }),
    searchAttributes: Object.values(searchAttributes).map((key) => key.name),
    log: processLog,
  });
  undo.defer(() => temporal.stop());
  const target = { connection: { address: temporal.address }, namespace: 'default' };
  const taskQueue = process.env.TIDEMARK_TASK_QUEUE || defaultTaskQueue;
  await prepare(postgres.url, target, taskQueue, configuration);
  const worker = await startWorker({
    databaseUrl: postgres.url,
    temporal: target,
    taskQueue,
    connectors: builtInConnectors,
    log: processLog,
    ...(metricsAddress === undefined ? {} : { metricsAddress }),
  });
  undo.defer(() => worker.stop().catch(() => undefined));
  await writeConnection({ pid: process.pid, databaseUrl: postgres.url, temporalAddress: temporal.address, taskQueue });
  undo.defer(removeConnection);
  const addresses = {
    postgres: `127.0.0.1:${postgres.port}`,
    temporal: temporal.address,
    ui: temporal.uiUrl ?? null,
    taskQueue,
    monitoring: worker.monitoringUrl ?? null,
  };
  await (json ? printJson({ ready: true, ...addresses }) : print(ready(addresses, configuration === undefined ? config : undefined)));
  const death = await Promise.race([
    stopped.then(() => undefined),
    postgres.ended.then((reason) => `PostgreSQL ended (${reason})`),
    temporal.ended.then((reason) => `Temporal ended (${reason})`),
    worker.finished.then(
      () => undefined,
      (error: unknown) => `the worker ended (${error instanceof Error ? error.message : String(error)})`,
    ),
  ]);
  if (death !== undefined) {
    tell(`Stopping, because ${death}. Start "tidemark up" again: what was running goes on.`);
    process.exitCode = exitCode.failed;
  } else tell('Stopping ...');
}

/** Everything between the servers' start and the worker's: tables, the configuration, schedules. */
async function prepare(
  databaseUrl: string,
  target: Parameters<typeof connectTemporal>[0],
  taskQueue: string,
  configuration: Parameters<typeof applyConfiguration>[0]['configuration'] | undefined,
): Promise<void> {
  await using store = await openStore(databaseUrl, { maxConnections: 2 });
  await store.migrate();
  if (configuration === undefined) return;
  await using temporal = await connectTemporal(target);
  tell(formatPlan(await applyConfiguration({ store, temporal, configuration, taskQueue }), false));
}

function ready(
  addresses: { readonly postgres: string; readonly temporal: string; readonly ui: string | null; readonly monitoring: string | null },
  missing: string | undefined,
): string {
  return [
    'Tidemark is up. Other commands in this directory use it; Ctrl-C stops it.',
    `  PostgreSQL   ${addresses.postgres}, database tidemark; the address with its password is in .tidemark/connection.json`,
    `  Temporal     ${addresses.temporal}, namespace default`,
    ...(addresses.ui === null ? [] : [`  Web          ${addresses.ui}`]),
    ...(addresses.monitoring === null ? [] : [`  Monitoring   ${addresses.monitoring}`]),
    ...(missing === undefined ? [] : [`There is no ${missing} yet: write one with "tidemark init", then run "tidemark apply".`]),
  ].join('\n');
}

function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}
