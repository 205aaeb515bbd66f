import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** A server process of ours: its end, its last words, and the way to end it. */
export interface ServerProcess {
  readonly pid: number;
  /** Settles when the process has ended, however it ended; never rejects. */
  readonly ended: Promise<string>;
  /** The last lines it printed, oldest first. */
  lastLines(): readonly string[];
  /** Calls `listener` for each line printed from now on; returns the way to stop listening. */
  onLine(listener: (line: string) => void): () => void;
  /** Sends `signal`, waits for the end, and after `patienceMs` sends `lastResort`. Calling it again waits for the same end. */
  stop(): Promise<void>;
}

export interface ServerCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  /** What asks this server to end in good order. */
  readonly signal: NodeJS.Signals;
  readonly lastResort: NodeJS.Signals;
  readonly patienceMs: number;
}

const keptLines = 40;

/**
 * Starts a server as a child that outlives a Ctrl-C (it has its own process group, so that the owner decides the order in which
 * things end) but never its owner: a waiting shell holds the other end of a pipe, and ends the server when the pipe closes.
 */
export async function startProcess(command: ServerCommand): Promise<ServerProcess> {
  const options: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'], detached: true };
  if (command.env !== undefined) options.env = command.env as NodeJS.ProcessEnv;
  if (command.uid !== undefined) options.uid = command.uid;
  if (command.gid !== undefined) options.gid = command.gid;
  if (command.cwd !== undefined) options.cwd = command.cwd;
  const child = spawn(command.file, command.args, options);
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > keptLines) lines.shift();
      for (const listener of listeners) listener(line);
    });
  }
  const ended = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
  await once(child, 'spawn');
  const pid = child.pid as number;
  const guard = startGuard(pid, command.signal);
  void ended.then(() => guard.kill('SIGKILL'));
  let stopping: Promise<void> | undefined;
  return {
    pid,
    ended,
    lastLines: () => [...lines],
    onLine(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop() {
      stopping ??= stopChild(child, ended, command);
      return stopping;
    },
  };
}

async function stopChild(child: ChildProcess, ended: Promise<string>, command: ServerCommand): Promise<void> {
  child.kill(command.signal);
  const timer = setTimeout(() => child.kill(command.lastResort), command.patienceMs);
  await ended;
  clearTimeout(timer);
}

/** The shell's `read` returns when the pipe closes, which is when the owner, the only holder of the other end, is gone. */
function startGuard(pid: number, signal: NodeJS.Signals): ChildProcess {
  const script = `read -r line; kill -${signal.slice('SIG'.length)} "$1" 2>/dev/null`;
  const guard = spawn('/bin/sh', ['-c', script, 'sh', String(pid)], { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' });
  guard.on('error', () => undefined);
  guard.stdin?.on('error', () => undefined);
  guard.unref();
  (guard.stdin as { unref?: () => void } | null)?.unref?.();
  return guard;
}

/** A port on 127.0.0.1 that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return listenOnce(0);
}

/** Throws, with the remedy, if somebody listens on this port of 127.0.0.1. */
export async function requireFreePort(port: number): Promise<void> {
  await listenOnce(port).catch((error: unknown) => {
    throw new Error(`Port ${port} on 127.0.0.1 is in use. Choose another one, or none to get a free one.`, { cause: error });
  });
}

async function listenOnce(port: number): Promise<number> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the operating system gave no port');
  return address.port;
}
