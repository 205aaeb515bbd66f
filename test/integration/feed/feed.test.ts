import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim } from '../../../model/run.ts';
import { followChanges } from '../../../store/follow-changes.ts';
import { formatCursor, newestPlace } from '../../../store/sql/feed-cursor.ts';
import { publishRuns } from '../../../store/sql/publish-run.ts';
import { type Change, readChanges } from '../../../store/sql/read-changes.ts';
import type { Store } from '../../../store/store.ts';
import { eventually } from '../../support/tidemark.ts';
import { type Fate, interleavedPool, randomFrom, randomTurns } from './interleaving.ts';
import {
  addIntegration,
  beginRun,
  changeIds,
  collect,
  commit,
  type FeedDatabase,
  fail,
  openFeedDatabase,
  writeChanges,
} from './support.ts';

let database: FeedDatabase;
let store: Store;

beforeAll(async () => {
  database = await openFeedDatabase();
  ({ store } = database);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe('the order of the change feed', () => {
  it('shows a position only when those before it are there, or will never be', async () => {
    for (const id of ['early', 'late', 'never']) await addIntegration(store.pool, id);
    const after = formatCursor(await newestPlace(store.pool));
    const runs = new Map<string, Claim>();
    for (const id of ['early', 'late', 'never']) {
      const claim = await beginRun(store.pool, id);
      await writeChanges(store.pool, claim, 1);
      runs.set(id, claim);
    }
    const publishing = async (id: string) => {
      const client = await store.pool.connect();
      const pid = (client as unknown as { readonly processID: number }).processID;
      await client.query('begin');
      return { client, pid, published: publishRuns(client, [runs.get(id)?.runId as string]) };
    };
    const waits = (pid: number) =>
      eventually(`session ${pid} that waits`, async () => {
        const { rows } = await store.pool.query<{ waits: boolean }>(`select cardinality(pg_blocking_pids($1)) > 0 as waits`, [pid]);
        return rows[0]?.waits;
      });
    const never = await publishing('never');
    await never.published;
    const early = await publishing('early');
    await waits(early.pid);
    const late = await publishing('late');
    await waits(late.pid);
    expect(await collect(readChanges(store.pool, after))).toEqual([]);
    await never.client.query('rollback');
    await early.published;
    expect(await collect(readChanges(store.pool, after))).toEqual([]);
    await early.client.query('commit');
    expect((await collect(readChanges(store.pool, after))).map(({ integration }) => integration)).toEqual(['early']);
    await late.published;
    await late.client.query('commit');
    const read = await collect(readChanges(store.pool, after));
    expect(read.map(({ integration }) => integration)).toEqual(['early', 'late']);
    for (const { client } of [never, early, late]) client.release();
    await fail(store.pool, runs.get('never') as Claim);
    expect((await collect(readChanges(store.pool, read[1]?.cursor))).map(({ integration }) => integration)).toEqual(['never']);
  });

  it('gives the rest of a run that begins again after its end was recorded a position of its own', async () => {
    await addIntegration(store.pool, 'again');
    const after = formatCursor(await newestPlace(store.pool));
    const temporalRunId = randomUUID();
    const first = await beginRun(store.pool, 'again', temporalRunId);
    await writeChanges(store.pool, first, 2);
    await fail(store.pool, first);
    await fail(store.pool, first);
    const early = await collect(readChanges(store.pool, after));
    expect(early).toHaveLength(2);
    const second = await beginRun(store.pool, 'again', temporalRunId);
    expect(second.runId).toBe(first.runId);
    await writeChanges(store.pool, second, 3);
    expect(await collect(readChanges(store.pool, early[1]?.cursor))).toEqual([]);
    await commit(store.pool, second);
    const rest = await collect(readChanges(store.pool, early[1]?.cursor));
    expect(rest).toHaveLength(3);
    expect(new Set([...early, ...rest].map(({ run }) => run))).toEqual(new Set([first.runId]));
    expect(await collect(readChanges(store.pool, after))).toEqual([...early, ...rest]);
  });

  it.each([1, 2, 3, 4])(
    'gives every reader each change exactly once, in one order, however runs of many integrations end (sequence %i)',
    async (seed) => {
      const random = randomFrom(seed);
      const chance = (probability: number) => random() < probability;
      const turns = randomTurns(random);
      let storm = true;
      const fate = (sql: string): Fate => {
        if (!storm || !chance(0.03)) return 'run';
        return sql === 'commit' && chance(0.5) ? 'answer lost' : 'cut before';
      };
      const pool = interleavedPool(store.pool, turns, fate);
      const integrations = Array.from({ length: 8 }, (_, n) => `s${seed}-${n}`);
      for (const id of integrations) await addIntegration(store.pool, id, 4);
      const start = formatCursor(await newestPlace(store.pool));

      const outcomeOf = async (claim: Claim) =>
        (await store.pool.query<{ outcome: string }>(`select outcome from tidemark.sync_run where id = $1`, [claim.runId])).rows[0]
          ?.outcome;
      /** As Temporal does: tried until it has succeeded; a commit that has happened is not made again. */
      const persist = async (step: () => Promise<unknown>, done?: () => Promise<boolean>) => {
        for (;;) {
          try {
            return await step();
          } catch (error) {
            if ((error as { code?: string }).code === undefined) throw error;
            if (await done?.()) return undefined;
          }
        }
      };
      const endings = { committed: 0, failed: 0, cancelled: 0, terminated: 0 };
      const integration = async (id: string) => {
        for (let n = 0; n < 12; n++) {
          const temporalRunId = randomUUID();
          const claim = (await persist(() => beginRun(pool, id, temporalRunId))) as Claim;
          const steps = Math.floor(random() * 4);
          for (let written = 0; written < steps; written++) await persist(() => writeChanges(pool, claim, 1 + Math.floor(random() * 5)));
          const ending = random();
          if (ending < 0.5) {
            await persist(
              () => commit(pool, claim),
              async () => (await outcomeOf(claim)) === 'succeeded',
            );
            endings.committed++;
          } else if (ending < 0.8) {
            await persist(() => fail(pool, claim, ending < 0.65 ? 'failed' : 'cancelled'));
            endings[ending < 0.65 ? 'failed' : 'cancelled']++;
          } else endings.terminated++;
        }
      };

      const writing = Promise.all(integrations.map(integration)).then(async () => {
        storm = false;
        // What the last runs left open is published by those that come after.
        for (const id of integrations) await commit(pool, await beginRun(pool, id));
      });
      let over = false;
      const closing = new AbortController();
      const closed = writing.finally(() => {
        over = true;
        closing.abort();
      });
      closed.catch(() => undefined);
      const lastCursor = async () => formatCursor(await newestPlace(store.pool));
      /** Reads portions of random length, keeps nothing but the cursor, and begins anew with it. */
      const reader = async (following: boolean): Promise<readonly Change[]> => {
        const read: Change[] = [];
        for (;;) {
          const after = read.at(-1)?.cursor ?? start;
          if (over && after === (await lastCursor())) return read;
          const portion = 1 + Math.floor(random() * 40);
          let left = portion;
          const changes = following && !over ? followChanges(store, { after, signal: closing.signal }) : readChanges(store.pool, after);
          for await (const change of changes) {
            read.push(change);
            left -= 1;
            if (left === 0) break;
          }
        }
      };
      const reading = Promise.all([true, true, false, false, false].map(reader));
      await turns.drive(writing);
      const readers = await reading;

      expect(Math.min(...Object.values(endings))).toBeGreaterThan(0);
      const whole = await collect(readChanges(store.pool, start));
      const { rows } = await store.pool.query<{ id: string }>(
        `select c.id from tidemark.change c join tidemark.sync_run r on r.id = c.run_id where r.integration_id = any($1) order by c.id`,
        [integrations],
      );
      expect(changeIds(whole).toSorted((a, b) => Number(a) - Number(b))).toEqual(rows.map(({ id }) => id));
      expect(rows.length).toBeGreaterThan(100);
      for (const read of readers) expect(changeIds(read)).toEqual(changeIds(whole));
    },
  );
});
