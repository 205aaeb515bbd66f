import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Cell } from './columns.ts';

/** An error of a driver, as `Bridge.java` tells it. */
export class DriverError extends Error {
  override readonly name = 'DriverError';
  /** SQLSTATE, or an empty text. */
  readonly state: string;
  /** The vendor's code. */
  readonly code: number;
  /** Class of the exception at the bottom of it. */
  readonly exception: string;

  constructor(state: string, code: number, exception: string) {
    super(`${exception} ${state} ${code}`);
    this.state = state;
    this.code = code;
    this.exception = exception;
  }
}

/** A Java process that talks to databases through their JDBC drivers, for many connections. */
export interface Bridge {
  /** Java runs, and has compiled the bridge. */
  readonly ready: Promise<unknown>;
  /** False once the process has ended. */
  readonly isAlive: () => boolean;
  /** Sends one request of `Bridge.java`, and gives what stands behind `ok`. Fails with `DriverError`, or `TidemarkFailure` if there is no process. */
  ask(what: string, connection: string, ...rest: readonly string[]): Promise<readonly Cell[]>;
  /** Ends the process as soon as nobody has used it for a while; the next request keeps it. */
  release(): void;
  end(): void;
}

export interface BridgeOptions {
  readonly java: string;
  readonly jars: readonly string[];
}

/** Starting Java and compiling the bridge takes seconds, so the process stays for the next session. */
const idleMs = 300_000;

const source = fileURLToPath(new URL('./Bridge.java', import.meta.url));

/** Starts Java. It ends with this process, whose end closes its input. */
export function startBridge({ java, jars }: BridgeOptions): Bridge {
  const options = ['-Xmx512m', '-XX:+UseSerialGC', '-Duser.timezone=UTC', '-Dfile.encoding=UTF-8'];
  const child = spawn(java, [...options, source, ...jars], { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting = new Map<string, PromiseWithResolvers<readonly Cell[]>>();
  const ready = Promise.withResolvers<readonly Cell[]>();
  ready.promise.catch(() => undefined);
  waiting.set('0', ready);
  let number = 0;
  let ended: TidemarkFailure | undefined;
  let idle: NodeJS.Timeout | undefined;
  let said = '';
  const end = (failure: TidemarkFailure): void => {
    ended ??= failure;
    clearTimeout(idle);
    for (const one of waiting.values()) one.reject(ended);
    waiting.clear();
  };
  child.on('error', (error) => end(noJava(java, error)));
  child.on('exit', () => end(javaEnded(java, said)));
  child.stdin.on('error', () => undefined);
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-2_000);
  });
  eachMessage(child, ([id, outcome, ...rest]) => {
    const one = waiting.get(id ?? '');
    waiting.delete(id ?? '');
    if (waiting.size === 0) hold(child, false);
    if (outcome === 'ok') one?.resolve(rest);
    else one?.reject(new DriverError(rest[0] ?? '', Number(rest[1]), rest[2] ?? ''));
  });
  return {
    ready: ready.promise,
    isAlive: () => ended === undefined,
    ask(what, connection, ...rest) {
      if (ended !== undefined) return Promise.reject(ended);
      clearTimeout(idle);
      number += 1;
      const answer = Promise.withResolvers<readonly Cell[]>();
      waiting.set(String(number), answer);
      hold(child, true);
      child.stdin.write(message([String(number), what, connection, ...rest]));
      return answer.promise;
    },
    release() {
      clearTimeout(idle);
      idle = setTimeout(() => child.stdin.end(), idleMs).unref();
    },
    end: () => child.kill('SIGKILL'),
  };
}

/** Nothing but an open request keeps this process from ending. */
function hold(child: ChildProcess, isHeld: boolean): void {
  for (const one of [child, child.stdin, child.stdout, child.stderr] as readonly ({ ref?(): void; unref?(): void } | null)[]) {
    if (isHeld) one?.ref?.();
    else one?.unref?.();
  }
}

function noJava(java: string, cause: Error): TidemarkFailure {
  return new TidemarkFailure(
    'InvalidConfiguration',
    `${java} can not be started on this worker`,
    { remedy: 'Install a JDK 17 or newer on every worker, or say where its java command is: jdbc: { java: PATH }.' },
    cause,
  );
}

function javaEnded(java: string, said: string): TidemarkFailure {
  const isOld = /unrecognized option|release version|error: compilation failed|Could not find or load main class/i.test(said);
  const line = said.split('\n', 1)[0] ?? '';
  return new TidemarkFailure(isOld ? 'InvalidConfiguration' : 'SourceUnavailable', `${java} has ended: ${line.slice(0, 300)}`, {
    remedy: isOld ? 'Install a JDK (not only a JRE) 17 or newer on every worker.' : 'Nothing if it passes by itself: Java is started anew.',
  });
}

function message(texts: readonly string[]): Buffer {
  const parts: Buffer[] = [length(texts.length)];
  for (const text of texts) {
    const bytes = Buffer.from(text, 'utf8');
    parts.push(length(bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

function length(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** Calls back with each whole message of the process. */
function eachMessage(child: ChildProcess, receive: (texts: readonly Cell[]) => void): void {
  let chunks: Buffer[] = [];
  let size = 0;
  let texts: Cell[] = [];
  let left: number | undefined;
  /** Undefined: not there yet. */
  const take = (count: number): Buffer | undefined => {
    if (size < count) return undefined;
    const all = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    chunks = all.length === count ? [] : [all.subarray(count)];
    size -= count;
    return all.subarray(0, count);
  };
  let pending: number | undefined;
  child.stdout?.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    for (;;) {
      if (left === undefined) {
        left = take(4)?.readInt32BE();
        if (left === undefined) return;
        texts = [];
      }
      while (left > 0) {
        pending ??= take(4)?.readInt32BE();
        if (pending === undefined) return;
        const bytes = pending < 0 ? null : take(pending);
        if (bytes === undefined) return;
        texts.push(bytes === null ? null : bytes.toString('utf8'));
        pending = undefined;
        left -= 1;
      }
      left = undefined;
      receive(texts);
    }
  });
}
