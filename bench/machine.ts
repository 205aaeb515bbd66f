import { type ChildProcess, spawn } from 'node:child_process';
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
import { type SambaServer, startSamba } from '../test/support/samba.ts';
import { type Populated, populateStopped } from '../test/support/samba-population.ts';
import { startPostgres } from '../workers/embedded/postgres.ts';
import { startTemporal } from '../workers/embedded/temporal.ts';
import { findTemporalCli } from '../workers/embedded/temporal-cli.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';

/** A whole Tidemark as it runs in production, on one machine: servers with default settings, the worker a process of its own. */
export interface BenchMachine {
  readonly dc: SambaServer;
  readonly populated: Populated;
  readonly tidemark: TidemarkClient;
  readonly store: Store;
  readonly worker: WorkerProcess;
  /** Stores integrations of the domain, default streams and steps, under these names. */
  configure(names: readonly string[]): Promise<void>;
}

export interface WorkerProcess extends AsyncDisposable {
  /** The most resident memory the process has had so far, from the kernel's VmHWM. */
  maxRssMb(): Promise<number>;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const silent = { debug: () => undefined, info: () => undefined, warn: (message: string) => console.error(message) };

export async function startBenchMachine(undo: AsyncDisposableStack, users: number): Promise<BenchMachine> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-bench-'));
  undo.defer(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755);
  const postgres = await startPostgres({ dataDir: join(directory, 'postgres'), log: silent });
  undo.defer(() => postgres.stop());
  const names = Object.values(searchAttributes).map(({ name }) => name);
  const cli = await findTemporalCli({ log: silent });
  const server = await startTemporal({ cli, searchAttributes: names, headless: true, log: silent });
  undo.defer(() => server.stop());
  const store = undo.use(await openStore(postgres.url, { maxConnections: 4 }));
  await store.migrate();
  const dc = undo.use(await startSamba());
  const populated = await populateStopped(dc, { users });
  const target = { connection: { address: server.address }, namespace: 'default' };
  const tidemark = undo.use(await TidemarkClient.connect({ databaseUrl: postgres.url, temporal: target }));
  const connection = await Connection.connect(target.connection);
  undo.defer(() => connection.close());
  const temporal = new Client({ connection, namespace: target.namespace });
  const worker = undo.use(await startWorkerProcess({ DATABASE_URL: postgres.url, TEMPORAL_ADDRESS: server.address }));
  const passwordFile = join(directory, 'password');
  await writeFile(passwordFile, dc.adminPassword, { mode: 0o600 });
  return {
    dc,
    populated,
    tidemark,
    store,
    worker,
    async configure(integrations) {
      const settings = {
        urls: [dc.ldapsUrl],
        caFile: dc.caFile,
        bindDn: dc.adminDn,
        bindPassword: { file: passwordFile },
        baseDn: dc.baseDn,
      };
      const blocks = integrations.map((name) => [name, { connector: 'active-directory', settings }] as const);
      // JSON is YAML.
      const text = JSON.stringify({ integrations: Object.fromEntries(blocks) });
      const loaded = loadConfiguration({ file: 'bench', text }, builtInConnectors);
      if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
      await applyConfiguration({ store, temporal, configuration: loaded.configuration, taskQueue: 'tidemark' });
    },
  };
}

/** `tidemark worker` with this process's Node options. */
async function startWorkerProcess(env: Readonly<Record<string, string>>): Promise<WorkerProcess> {
  const child: ChildProcess = spawn(process.execPath, [...process.execArgv, 'cli/main.ts', 'worker'], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  process.once('exit', () => child.kill('SIGTERM'));
  if (child.stdout === null) throw new Error('The worker has no output');
  const ready = once(createInterface({ input: child.stdout }), 'line');
  await Promise.race([ready, ended.then(([code]) => Promise.reject(new Error(`The worker ended with ${code}`)))]);
  return {
    async maxRssMb() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
