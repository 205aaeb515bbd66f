import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { builtInConnectors } from '../../cli/connectors.ts';
import type { Connector, Log } from '../../connectors/connector.ts';
import { loadConfiguration } from '../../model/config/load.ts';
import { formatProblem } from '../../model/config/problem.ts';
import type { LaunchRequest, LaunchResult } from '../../model/run.ts';
import { storeConfiguration } from '../../store/apply-configuration.ts';
import { openStore, type Store } from '../../store/store.ts';
import { type Postgres, startPostgres } from '../../workers/embedded/postgres.ts';
import { startTemporal, type Temporal } from '../../workers/embedded/temporal.ts';
import { chaosConnector } from './chaos-connector.ts';
import { type ChaosServer, startChaosServer } from './chaos-source.ts';
import { installWitness } from './chaos-witness.ts';
import { searchAttributes } from './temporal.ts';
import { type Ending, endingOf, eventually } from './tidemark.ts';

/** A worker process that signals can be sent to. */
export interface ChaosWorker extends AsyncDisposable {
  readonly pid: number;
  kill(): Promise<void>;
  /** SIGSTOP. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

/** A whole Tidemark whose every process can be killed and started again on the same data. */
export interface ChaosMachine extends AsyncDisposable {
  readonly store: Store;
  readonly temporal: Client;
  /** The directory below which PostgreSQL keeps everything. */
  readonly postgresDirectory: string;
  /** A source of its own, with the doors of the steps that its workers pass. */
  startServer(): Promise<ChaosServer>;
  startWorker(taskQueue: string, server: ChaosServer): Promise<ChaosWorker>;
  /** `kill -9` of PostgreSQL's first process; the others follow it. */
  killPostgres(): Promise<void>;
  /** Starts PostgreSQL again on the same data and port, if it is not running. */
  restartPostgres(): Promise<void>;
  /** Whether PostgreSQL is running, or has gone down by itself. */
  isPostgresUp(): Promise<boolean>;
  killTemporal(): Promise<void>;
  restartTemporal(): Promise<void>;
  /** Stores integrations and sources with these blocks of the configuration, beside those that are there. */
  configure(blocks: Readonly<Record<string, object>>, sources?: Readonly<Record<string, object>>): Promise<void>;
  /** Asks for a sync; asks again while Temporal is away. Returns the launcher's workflow id. */
  launch(taskQueue: string, request: LaunchRequest): Promise<string>;
  /** Waits for an ending however often Temporal goes away meanwhile. */
  ending(launcherId: string): Promise<Ending>;
  /** Repeats what failed because a server was away. */
  persist<T>(what: string, work: () => Promise<T>): Promise<T>;
}

export interface ChaosOptions {
  /** Path of the Temporal CLI. */
  readonly temporalCli: string;
  /** Where PostgreSQL keeps everything; made. Default: below the machine's own directory. */
  readonly postgresDirectory?: string;
  readonly postgresSettings?: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

export async function startChaosMachine(options: ChaosOptions): Promise<ChaosMachine> {
  const undo = new AsyncDisposableStack();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'tidemark-chaos-'));
    undo.defer(() => rm(directory, { recursive: true, force: true }));
    await chmod(directory, 0o755);
    const postgresDirectory = options.postgresDirectory ?? join(directory, 'data');
    await mkdir(postgresDirectory, { recursive: true });
    const startDatabase = (port?: number) =>
      startPostgres({
        dataDir: join(postgresDirectory, 'postgres'),
        // Every worker may have 20 connections, and tests have up to seven.
        settings: { fsync: 'off', max_connections: '300', ...options.postgresSettings },
        ...(port === undefined ? {} : { port }),
        log: silent,
      });
    const startTemporalServer = (port?: number) =>
      startTemporal({
        cli: options.temporalCli,
        dbFile: join(directory, 'temporal.db'),
        headless: true,
        searchAttributes,
        dynamicConfig: { 'history.workflowIdReuseMinimalInterval': '"0s"' },
        ...(port === undefined ? {} : { port }),
        log: silent,
      });
    let postgres: Postgres | undefined = await startDatabase();
    const { url: databaseUrl, port: postgresPort } = postgres;
    undo.defer(() => postgres?.stop());
    let temporal: Temporal | undefined = await startTemporalServer();
    const { address } = temporal;
    undo.defer(() => temporal?.stop());
    const store = undo.use(await openStore(databaseUrl));
    await store.migrate();
    await installWitness(store.pool);
    const connection = await Connection.connect({ address });
    undo.defer(() => connection.close());
    const client = new Client({ connection, namespace: 'default' });
    const registry = new Map([...builtInConnectors, ['chaos', chaosConnector as Connector]]);
    const blocks: Record<string, object> = {};
    const sources: Record<string, object> = {};

    async function persist<T>(what: string, work: () => Promise<T>): Promise<T> {
      let last: unknown;
      return eventually(
        what,
        async () => {
          try {
            return { value: await work() };
          } catch (error) {
            last = error;
            return undefined;
          }
        },
        90_000,
      ).then(
        ({ value }) => value,
        (error: unknown) => {
          throw new Error(`${what}: ${String(last)}`, { cause: error });
        },
      );
    }

    const owned = undo.move();
    const machine: ChaosMachine = {
      store,
      temporal: client,
      postgresDirectory,
      persist,
      async startServer() {
        return owned.use(await startChaosServer());
      },
      async startWorker(taskQueue, server) {
        const worker = await startWorkerProcess({
          CHAOS_URL: server.url,
          CHAOS_TASK_QUEUE: taskQueue,
          DATABASE_URL: databaseUrl,
          TEMPORAL_ADDRESS: address,
        });
        owned.use(worker);
        return worker;
      },
      async killPostgres() {
        if (!postgres) return;
        process.kill(postgres.pid, 'SIGKILL');
        await postgres.ended;
        postgres = undefined;
      },
      async restartPostgres() {
        if (await machine.isPostgresUp()) return;
        // The shared memory of the killed server is free only when its last process has noticed.
        postgres = await persist('PostgreSQL to start again', () => startDatabase(postgresPort));
      },
      isPostgresUp: async () => postgres !== undefined && (await Promise.race([postgres.ended, Promise.resolve('running')])) === 'running',
      async killTemporal() {
        if (!temporal) return;
        process.kill(temporal.pid, 'SIGKILL');
        await temporal.ended;
        temporal = undefined;
      },
      async restartTemporal() {
        temporal ??= await startTemporalServer(Number(new URL(`http://${address}`).port));
      },
      async configure(added, addedSources = {}) {
        Object.assign(blocks, added);
        Object.assign(sources, addedSources);
        const loaded = loadConfiguration({ file: 'chaos', text: JSON.stringify({ integrations: blocks, sources }) }, registry);
        if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
        await storeConfiguration(store, loaded.configuration);
      },
      async launch(taskQueue, request) {
        const workflowId = `launch/${request.integration}/chaos-${randomBytes(6).toString('hex')}`;
        await persist('a launcher to start', () =>
          client.workflow.start('launchSync', {
            workflowId,
            taskQueue,
            args: [request],
            workflowIdConflictPolicy: 'USE_EXISTING',
          }),
        );
        return workflowId;
      },
      ending: (launcherId) =>
        persist(`the ending of ${launcherId}`, async () => {
          try {
            return (await client.workflow.getHandle(launcherId).result()) as LaunchResult;
          } catch (error) {
            if (!(error instanceof WorkflowFailedError)) throw error;
            return endingOf(error.cause);
          }
        }),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
    return machine;
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

async function startWorkerProcess(env: Readonly<Record<string, string>>): Promise<ChaosWorker> {
  const child: ChildProcess = spawn(process.execPath, ['test/support/chaos-worker.ts'], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    // Its standard input ends with this process, and then it ends too.
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  if (child.stdout === null) throw new Error('The worker has no output');
  const ready = once(createInterface({ input: child.stdout }), 'line');
  await Promise.race([ready, ended.then(([code]) => Promise.reject(new Error(`The worker ended with ${code}`)))]);
  const pid = child.pid as number;
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return {
    pid,
    kill,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    [Symbol.asyncDispose]: kill,
  };
}
