import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import type { Log } from '../../connectors/connector.ts';
import { freePort, requireFreePort, type ServerProcess, startProcess } from './process.ts';

export interface TemporalOptions {
  /** Path of the Temporal CLI, from `findTemporalCli`. */
  readonly cli: string;
  /** Keeps workflows and schedules across restarts; absent: in memory. */
  readonly dbFile?: string;
  /** gRPC; a free one if absent. */
  readonly port?: number;
  /** Web interface; a free one if absent. */
  readonly uiPort?: number;
  /** Without the web interface. */
  readonly headless?: boolean;
  /** Search attributes to register, all of type Keyword. */
  readonly searchAttributes: readonly string[];
  /** Dynamic configuration: key to JSON value, for example `{ 'history.workflowIdReuseMinimalInterval': '"0s"' }`. */
  readonly dynamicConfig?: Readonly<Record<string, string>>;
  readonly log: Log;
}

export interface Temporal {
  /** `127.0.0.1:<port>`, namespace `default`. */
  readonly address: string;
  readonly uiUrl?: string;
  readonly pid: number;
  /** Settles, with the reason, when the server has ended for whatever cause. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

const readyLimitMs = 120_000;
const pollMs = 50;

/** Temporal's development server on 127.0.0.1: the whole service in one process, with its state in memory or in one SQLite file. */
export async function startTemporal(options: TemporalOptions): Promise<Temporal> {
  if (options.dbFile !== undefined) await mkdir(dirname(options.dbFile), { recursive: true });
  for (const port of [options.port, options.uiPort]) if (port !== undefined) await requireFreePort(port);
  const attempts = options.port === undefined ? 5 : 1;
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const uiPort = options.headless === true ? undefined : (options.uiPort ?? (await freePort()));
    const server = await startProcess({
      file: options.cli,
      args: serverArguments(options, port, uiPort),
      signal: 'SIGINT',
      lastResort: 'SIGKILL',
      patienceMs: 20_000,
    });
    const failure = await readiness(server, `127.0.0.1:${port}`);
    if (failure === undefined) {
      options.log.debug('embedded Temporal is ready', { port, uiPort, pid: server.pid });
      return {
        address: `127.0.0.1:${port}`,
        ...(uiPort === undefined ? {} : { uiUrl: `http://127.0.0.1:${uiPort}` }),
        pid: server.pid,
        ended: server.ended,
        stop: () => server.stop(),
      };
    }
    await server.stop();
    const said = server.lastLines().join('\n');
    const portTaken = /address already in use|can't (set frontend port|bind)/i.test(said);
    if (portTaken && attempt < attempts) continue;
    throw new Error(`Temporal's development server (${options.cli}) did not start: ${failure}. Its last lines:\n${said}`);
  }
}

function serverArguments(options: TemporalOptions, port: number, uiPort: number | undefined): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--namespace', 'default'],
    ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort), '--ui-ip', '127.0.0.1']),
    ...(options.dbFile === undefined ? [] : ['--db-filename', options.dbFile]),
    ...['--log-format', 'json', '--log-level', 'warn'],
    ...options.searchAttributes.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
    ...Object.entries(options.dynamicConfig ?? {}).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
  ];
}

/** Undefined once the namespace can be described, else why not. */
async function readiness(server: ServerProcess, address: string): Promise<string | undefined> {
  const deadline = Date.now() + readyLimitMs;
  let problem = '';
  while (Date.now() < deadline) {
    const answer = await Promise.race([server.ended.then((reason) => ({ ended: reason })), describeNamespace(address)]);
    if (answer === undefined) return undefined;
    if ('ended' in answer) return answer.ended;
    problem = answer.problem;
    await delay(pollMs);
  }
  return `no answer for ${readyLimitMs / 1_000} s: ${problem}`;
}

async function describeNamespace(address: string): Promise<{ readonly problem: string } | undefined> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: '5s' });
    try {
      await connection.withDeadline(Date.now() + 5_000, () => connection.workflowService.describeNamespace({ namespace: 'default' }));
      return undefined;
    } finally {
      await connection.close();
    }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}
