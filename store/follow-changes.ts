import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { isConnectionLoss } from './connection-loss.ts';
import { formatCursor, oldestPlace } from './sql/feed-cursor.ts';
import { feedChannel } from './sql/publish-run.ts';
import { type Change, readChanges } from './sql/read-changes.ts';
import type { Store } from './store.ts';

export interface FollowChangesOptions {
  /** Begin after this cursor; absent: with the oldest change there is. */
  readonly after?: string;
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal;
  /**
   * A publication is told at once; where it can't be (a connection pooler, a standby) it is found by looking this often. Default: 5,000.
   */
  readonly pollEveryMs?: number;
  /** Told once each time PostgreSQL can't be reached any more; the iteration waits and goes on. */
  readonly onInterruption?: (error: Error) => void;
}

const defaultPollEveryMs = 5_000;

const goodbyeMs = 1_000;

/** Between two attempts to reach PostgreSQL again; doubled up to the second. */
const firstRetryMs = 100;
const lastRetryMs = 5_000;

/**
 * Streams published changes as `readChanges` does, and then those that come, until the signal. A lost connection is made again and reading
 * goes on behind the last change that was given; the first one must succeed.
 */
export async function* followChanges(store: Store, options: FollowChangesOptions = {}): AsyncGenerator<Change> {
  const { signal } = options;
  let after = options.after;
  let begun = false;
  let retryMs: number | undefined;
  while (!signal?.aborted) {
    let client: pg.Client | undefined;
    try {
      client = await store.connect('tidemark/changes');
      const publication = await listen(client, options.pollEveryMs ?? defaultPollEveryMs);
      after ??= formatCursor(await oldestPlace(client));
      begun = true;
      retryMs = undefined;
      do {
        for await (const change of readChanges(client, after)) {
          if (signal?.aborted) return;
          after = change.cursor;
          yield change;
        }
      } while (await publication(signal));
      return;
    } catch (error) {
      if (signal?.aborted) return;
      if (!begun || !isConnectionLoss(error)) throw error;
      if (retryMs === undefined) options.onInterruption?.(error as Error);
      retryMs = Math.min((retryMs ?? firstRetryMs / 2) * 2, lastRetryMs);
    } finally {
      // A server that vanished does not answer the goodbye.
      await Promise.race([client?.end().catch(() => undefined), setTimeout(goodbyeMs, undefined, { ref: false })]);
    }
    await setTimeout(retryMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}

/**
 * Waits until something may have been published since it was last asked, or for `pollEveryMs`. False at the signal; fails with the
 * connection. What is published between two calls is not lost: the second returns at once.
 */
async function listen(client: pg.Client, pollEveryMs: number): Promise<(signal: AbortSignal | undefined) => Promise<boolean>> {
  let told = false;
  let lost: Error | undefined;
  let wake = (): void => undefined;
  client.on('notification', () => {
    told = true;
    wake();
  });
  const onLoss = (error: Error): void => {
    lost ??= error;
    wake();
  };
  client.on('error', onLoss);
  client.on('end', () => onLoss(Object.assign(new Error('Connection terminated'), { code: '08006' })));
  await client.query(`listen ${feedChannel}`).catch((error: Error) => {
    // A standby can't listen; looking now and then has to do.
    if (isConnectionLoss(error)) throw error;
  });
  return async (signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = () => resolve();
    const timer = globalThis.setTimeout(wake, pollEveryMs);
    signal?.addEventListener('abort', wake, { once: true });
    if (signal?.aborted || told || lost !== undefined) wake();
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener('abort', wake);
    told = false;
    if (signal?.aborted) return false;
    if (lost !== undefined) throw lost;
    return true;
  };
}
