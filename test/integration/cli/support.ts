import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openStore, type Store } from '../../../store/store.ts';
import { createDatabase } from '../../support/postgres.ts';
import { connectTemporal, type TestTemporal } from '../../support/temporal.ts';

const main = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `tidemark` that goes on until it is told to stop. */
export interface RunningCommand {
  readonly ended: Promise<Ended>;
  /** The first line of either output that contains the text; fails if the process ends before. */
  line(text: string): Promise<string>;
  signal(signal: NodeJS.Signals): void;
}

/** The real command in a directory of its own, with a database of its own and the test run's Temporal. */
export interface TestCommand extends AsyncDisposable {
  readonly directory: string;
  readonly temporal: TestTemporal;
  readonly databaseUrl: string;
  readonly store: Store;
  run(...args: readonly string[]): Promise<Ended>;
  start(...args: readonly string[]): RunningCommand;
  /** The command at a terminal, where somebody types these lines. Both outputs are one. */
  runAtTerminal(lines: readonly string[], ...args: readonly string[]): Promise<Ended>;
  /** Writes tidemark.yaml, or another file. */
  write(text: string, name?: string): Promise<void>;
  /** The real Temporal CLI against the test run's server. */
  temporalCli(...args: readonly string[]): Promise<Ended>;
}

export async function startCommand(extraEnv: NodeJS.ProcessEnv = {}, options: { readonly migrate?: boolean } = {}): Promise<TestCommand> {
  const undo = new AsyncDisposableStack();
  try {
    const directory = await mkdtemp(join(tmpdir(), 'tidemark-cli-'));
    undo.defer(() => rm(directory, { recursive: true, force: true }));
    const database = undo.use(await createDatabase());
    const temporal = undo.use(await connectTemporal());
    const store = undo.use(await openStore(database.url, { maxConnections: 2 }));
    if (options.migrate ?? true) await store.migrate();
    const env = {
      PATH: process.env.PATH,
      HOME: directory,
      DATABASE_URL: database.url,
      TEMPORAL_ADDRESS: temporal.address,
      TIDEMARK_TASK_QUEUE: temporal.taskQueue,
      ...extraEnv,
    };
    const start = (...args: readonly string[]): RunningCommand => {
      const command = startProcess(process.execPath, [main, ...args], directory, env);
      undo.defer(async () => {
        command.signal('SIGKILL');
        await command.ended;
      });
      return command;
    };
    const owned = undo;
    return {
      directory,
      temporal,
      databaseUrl: database.url,
      store,
      start,
      run: (...args) => start(...args).ended,
      runAtTerminal: (lines, ...args) => {
        const line = [process.execPath, main, ...args].map((word) => `'${word}'`).join(' ');
        return startProcess('script', ['-qec', line, '/dev/null'], directory, env, `${lines.join('\n')}\n`).ended;
      },
      write: (text, name = 'tidemark.yaml') => writeFile(join(directory, name), text),
      temporalCli: (...args) =>
        startProcess(temporal.cli, [...args, '--address', temporal.address, '--namespace', 'default'], directory, env).ended,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

function startProcess(file: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv, input?: string): RunningCommand {
  const child: ChildProcess = spawn(file, args, { cwd, env, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  child.stdin?.end(input);
  const output = { stdout: '', stderr: '' };
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const notify = (): void => {
    for (const look of waiting) look();
  };
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = child[name];
    if (stream === null) continue;
    stream.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      notify();
    });
  }
  let over = false;
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      over = true;
      resolve({ code, ...output });
      notify();
    });
  });
  return {
    ended,
    signal: (signal) => void child.kill(signal),
    line: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.find((line) => line.includes(text));
          if (found === undefined && !over) return;
          waiting.delete(look);
          if (found === undefined) reject(new Error(`it ended without a line with "${text}":\n${output.stdout}${output.stderr}`));
          else resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** The block of an Active Directory integration whose server nobody runs. */
export function unreachableIntegration(id: string, more = ''): string {
  return `  ${id}:
    connector: active-directory
    unreachableLimit: 1s
    settings:
      urls: ["ldap://127.0.0.1:1"]
      allowPlaintext: true
      bindDn: svc@corp.example
      bindPassword: { env: TEST_PASSWORD }
      baseDn: DC=corp,DC=example
${more}`;
}
