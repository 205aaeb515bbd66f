import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { applyConfiguration } from '../cli/apply.ts';
import { builtInConnectors } from '../cli/connectors.ts';
import { TidemarkClient } from '../index.ts';
import { loadConfiguration } from '../model/config/load.ts';
import { formatProblem } from '../model/config/problem.ts';
import { openStore, type Store } from '../store/store.ts';
import { startPostgres } from '../workers/embedded/postgres.ts';
import { startTemporal } from '../workers/embedded/temporal.ts';
import { findTemporalCli } from '../workers/embedded/temporal-cli.ts';
import { startWorker, type WorkerSettings } from '../workers/worker.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import type { BenchSource } from './source.ts';

/** A whole Tidemark as it runs in production, on one machine: servers with default settings, the worker a process of its own. */
export interface BenchMachine {
  readonly source: BenchSource;
  readonly tidemark: TidemarkClient;
  readonly temporal: Client;
  readonly store: Store;
  readonly workerFlags: readonly string[];
  /** The worker that runs now. */
  worker(): Worker;
  /** Ends the worker and starts another one, so that its memory tells of nothing that was before. */
  restartWorker(): Promise<void>;
  /** First processes of the parts, by name. */
  processes(): Readonly<Record<'worker' | 'postgres' | 'temporal', number>>;
  /** Stores these integrations, and rules of identities, in place of those before. */
  configure(integrations: Readonly<Record<string, Integration>>, identities?: unknown): Promise<void>;
}

export interface Integration {
  /** Default: the machine's. */
  readonly source?: BenchSource;
  readonly schedules?: readonly unknown[];
}

export interface Worker extends AsyncDisposable {
  readonly pid: number;
  /** The most resident memory the process has had so far, from the kernel's VmHWM. */
  maxRssMb(): Promise<number>;
}

export interface MachineOptions {
  /** Node options of the worker, such as --cpu-prof. */
  readonly workerFlags: readonly string[];
  /** Where the worker is. Default: a process of its own. */
  readonly worker?: 'here';
  /** PostgreSQL settings beyond those of `tidemark up`. */
  readonly postgres?: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const taskQueue = 'tidemark';
/** Limits count over a day, into which all rounds of a scenario fall. */
const steps = { cleanup: { limits: { count: 1_000_000, percent: 100 } } };
const silent = { debug: () => undefined, info: () => undefined, warn: (message: string) => console.error(message) };

export async function startBenchMachine(undo: AsyncDisposableStack, source: BenchSource, options: MachineOptions): Promise<BenchMachine> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  const postgres = await startPostgres({ dataDir: join(directory, 'postgres'), settings: options.postgres ?? {}, log: silent });
  undo.defer(() => postgres.stop());
  const names = Object.values(searchAttributes).map(({ name }) => name);
  const cli = await findTemporalCli({ log: silent });
  const server = await startTemporal({ cli, searchAttributes: names, headless: true, log: silent });
  undo.defer(() => server.stop());
  const store = undo.use(await openStore(postgres.url, { maxConnections: 4 }));
  await store.migrate();
  const target = { connection: { address: server.address }, namespace: 'default' };
  const tidemark = undo.use(await TidemarkClient.connect({ databaseUrl: postgres.url, temporal: target }));
  const connection = await Connection.connect(target.connection);
  undo.defer(() => connection.close());
  const temporal = new Client({ connection, namespace: target.namespace });
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, source.password, { mode: 0o600 });
  const environment = { DATABASE_URL: postgres.url, TEMPORAL_ADDRESS: server.address };
  const start = () =>
    options.worker === 'here'
      ? startWorkerHere({ databaseUrl: postgres.url, temporal: target, taskQueue, connectors: builtInConnectors, log: silent })
      : startWorkerProcess(environment, options.workerFlags);
  let worker = await start();
  undo.defer(() => worker[Symbol.asyncDispose]());
  return {
    source,
    tidemark,
    temporal,
    store,
    workerFlags: options.workerFlags,
    worker: () => worker,
    async restartWorker() {
      await worker[Symbol.asyncDispose]();
      worker = await start();
    },
    processes: () => ({ worker: worker.pid, postgres: postgres.pid, temporal: server.pid }),
    async configure(integrations, identities) {
      const blocks = Object.entries(integrations).map(([name, { source: of = source, schedules = [] }]) => {
        return [name, { ...of.integration(passwordFile), schedules, steps }] as const;
      });
      // JSON is YAML.
      const text = JSON.stringify({ integrations: Object.fromEntries(blocks), identities });
      const loaded = loadConfiguration({ file: 'bench', text }, builtInConnectors);
      if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
      await applyConfiguration({ store, temporal, configuration: loaded.configuration, taskQueue });
    },
  };
}

/** `tidemark worker` with these Node options. */
async function startWorkerProcess(environment: Readonly<Record<string, string>>, flags: readonly string[]): Promise<Worker> {
  const child = spawn(process.execPath, [...flags, 'cli/main.ts', 'worker'], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const end = () => child.kill('SIGTERM');
  process.once('exit', end);
  const ready = once(createInterface({ input: child.stdout }), 'line');
  await Promise.race([ready, ended.then(([code]) => Promise.reject(new Error(`The worker ended with ${code}`)))]);
  const pid = child.pid as number;
  return {
    pid,
    maxRssMb: () => maxRssMb(pid),
    async [Symbol.asyncDispose]() {
      process.off('exit', end);
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** A worker in this process, for who has to look into it. */
async function startWorkerHere(settings: WorkerSettings): Promise<Worker> {
  const worker = await startWorker(settings);
  return { pid: process.pid, maxRssMb: () => maxRssMb(process.pid), [Symbol.asyncDispose]: () => worker.stop() };
}

async function maxRssMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024);
}
