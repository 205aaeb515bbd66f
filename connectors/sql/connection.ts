import type { TidemarkFailure } from '../../model/failure.ts';
import type { Answer, Database, Statement } from './database.ts';
import type { Dialect } from './dialect.ts';
import { databaseFailure } from './failures.ts';
import type { SqlSettings } from './settings.ts';

/** Where a database is, taken apart. */
export interface Address {
  readonly host: string;
  readonly port?: number;
  readonly database: string;
}

export interface ConnectOptions {
  readonly address: Address;
  readonly settings: SqlSettings;
  readonly password: string;
  readonly signal: AbortSignal;
  readonly pace?: () => Promise<void>;
}

/** Signs in, and prepares the session. */
export type Connect = (options: ConnectOptions) => Promise<Database>;

/** What a driver brings; what all connections have in common is made of it. */
export interface Driver {
  readonly dialect: Dialect;
  readonly name: string;
  readonly settings: Pick<SqlSettings, 'connectTimeout' | 'requestTimeout'>;
  readonly signal: AbortSignal;
  readonly pace?: () => Promise<void>;
  /** Connects and signs in. */
  open(): Promise<void>;
  send(statement: Statement): Promise<Answer>;
  /** Begins a transaction that sees one state: a statement, or what does it. */
  readonly begin: string | (() => Promise<void>);
  /** Ends it. Default: the statement `rollback`. */
  readonly end?: () => Promise<void>;
  close(): Promise<void>;
  /** Drops the connection without a word; whatever waits for an answer then fails. */
  destroy(): void;
  fail(error: unknown, what: string): TidemarkFailure;
}

/** Opens a driver's connection: statements one after the other, each within its time, none after a cancellation, every error typed. */
export async function guarded(driver: Driver): Promise<Database> {
  const { dialect, name, settings, signal, pace } = driver;
  // Not every driver lets what waits for an answer know that its connection was dropped. One promise for all of them would keep every answer.
  let dropped = false;
  const waiting = new Set<(error: Error) => void>();
  const drop = (): void => {
    driver.destroy();
    dropped = true;
    for (const end of waiting) end(new Error('the connection was dropped'));
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', drop, { once: true });
  let broken = false;

  async function within<Result>(ms: number, what: string, work: () => Promise<Result>): Promise<Result> {
    let late = false;
    const ended = Promise.withResolvers<never>();
    waiting.add(ended.reject);
    if (dropped) drop();
    // The server has the same limit for statements; a connection that was cut without a word has none.
    const timer = setTimeout(() => {
      late = true;
      drop();
    }, ms);
    try {
      return await Promise.race([work(), ended.promise]);
    } catch (error) {
      signal.throwIfAborted();
      const failure = late ? databaseFailure('too-slow', name, what, '', error) : driver.fail(error, what);
      broken ||= failure.type === 'SourceUnavailable';
      throw failure;
    } finally {
      clearTimeout(timer);
      waiting.delete(ended.reject);
    }
  }

  const ask = async (statement: Statement, what: string): Promise<Answer> => {
    signal.throwIfAborted();
    await pace?.();
    signal.throwIfAborted();
    return within(settings.requestTimeout + 5_000, what, () => driver.send(statement));
  };
  const run = async (text: string): Promise<void> => {
    await ask({ text, parameters: [] }, 'the session');
  };
  const database: Database = {
    dialect,
    name,
    ask,
    async beginSnapshot() {
      if (typeof driver.begin === 'string') await run(driver.begin);
      else await within(settings.requestTimeout, 'one state of the database', driver.begin);
    },
    async endSnapshot() {
      if (broken) return;
      if (driver.end === undefined) await run('rollback');
      else await within(settings.requestTimeout, 'the end of a read', driver.end);
    },
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', drop);
      if (broken || signal.aborted) {
        driver.destroy();
        return;
      }
      const timer = setTimeout(() => driver.destroy(), 5_000);
      await driver.close().catch(() => driver.destroy());
      clearTimeout(timer);
    },
  };
  try {
    await within(settings.connectTimeout, 'a connection', () => driver.open());
    for (const text of dialect.session) await run(text);
    return database;
  } catch (error) {
    signal.removeEventListener('abort', drop);
    driver.destroy();
    throw error;
  }
}
