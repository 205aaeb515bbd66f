import type pg from 'pg';
import { fenced, type StepAttempt } from '../store/fence.ts';
import { analyzeGrown } from '../store/sql/staging.ts';

/** How a step makes its transactions. */
export interface StepWriter {
  /** Batches that may be applied at the same time. */
  readonly sideBySide: number;
  /** Sees what the transactions have written. */
  readonly reader: pg.Pool | pg.PoolClient;
  /** `exclusive` orders it after every other writer of the integration, `shared` lets batches of one attempt write side by side. */
  transaction<T>(lock: 'exclusive' | 'shared', work: (client: pg.PoolClient) => Promise<T>): Promise<T>;
  /** Told when so many rows were added to a table by transactions that have ended. */
  grown(table: 'object' | 'link', rows: number): Promise<void>;
}

/** Each transaction stands, under the attempt's fence. */
export function fencedWriter(pool: pg.Pool, attempt: StepAttempt): StepWriter {
  return {
    sideBySide: 2,
    reader: pool,
    transaction: (lock, work) => fenced(pool, attempt, lock, work),
    grown: (table, rows) => analyzeGrown(pool, table, rows),
  };
}

/** Every transaction is a part of one that will be taken back; one after the other, since they share its connection, and there is no other. */
export function rehearsalWriter(client: pg.PoolClient): StepWriter {
  return {
    sideBySide: 1,
    reader: client,
    async transaction(_, work) {
      await client.query('savepoint rehearsal');
      try {
        const result = await work(client);
        await client.query('release savepoint rehearsal');
        return result;
      } catch (error) {
        await client.query('rollback to savepoint rehearsal');
        throw error;
      }
    },
    // Statistics of rows that will not stay would mislead everyone else.
    grown: async () => undefined,
  };
}
