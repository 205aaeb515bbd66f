import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { giveUpChanges, removeGivenUpChanges } from '../../../store/sql/expire-changes.ts';
import { formatCursor, newestPlace } from '../../../store/sql/feed-cursor.ts';
import { publishRuns } from '../../../store/sql/publish-run.ts';
import { readChanges } from '../../../store/sql/read-changes.ts';
import type { Store } from '../../../store/store.ts';
import { createDatabase } from '../../support/postgres.ts';
import { eventually } from '../../support/tidemark.ts';
import { addIntegration, beginRun, collect, commit, type FeedDatabase, openFeedDatabase, writeChanges } from './support.ts';

const dayMs = 86_400_000;
let database: FeedDatabase;
let store: Store;

beforeAll(async () => {
  database = await openFeedDatabase();
  ({ store } = database);
  await addIntegration(store.pool, 'corp');
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

async function publish(changes: number, on: Store = store): Promise<string> {
  const claim = await beginRun(on.pool, 'corp');
  await writeChanges(on.pool, claim, changes);
  await commit(on.pool, claim);
  return claim.runId;
}

const newest = async (on: Store = store) => formatCursor(await newestPlace(on.pool));

/** Makes everything that is published now older than the retention. */
const age = () => store.pool.query(`update tidemark.feed_entry set published_at = published_at - interval '31 days'`);

async function expire(): Promise<number> {
  await giveUpChanges(store.pool, 30 * dayMs);
  return (await collect(removeGivenUpChanges(store.pool, 100))).reduce((sum, removed) => sum + removed, 0);
}

describe('the retention of the change feed', () => {
  it('removes old changes in batches, and refuses a cursor before them, naming the oldest that is good and what to do', async () => {
    const first = await newest();
    await publish(250);
    const middle = await newest();
    await publish(3);
    const last = await newest();
    await age();
    await publish(2);
    const [oldest] = await collect(readChanges(store.pool, last));
    expect(await expire()).toBe(253);
    expect(await expire()).toBe(0);
    for (const cursor of [first, middle]) {
      await expect(collect(readChanges(store.pool, cursor))).rejects.toMatchObject({
        type: 'CursorExpired',
        message: expect.stringContaining(`The oldest cursor that is still good is ${last}.`),
        details: { remedy: expect.stringContaining('tidemark objects') },
      });
    }
    expect(await collect(readChanges(store.pool, last))).toHaveLength(2);
    expect((await collect(readChanges(store.pool)))[0]).toEqual(oldest);
    const { rows } = await store.pool.query(`select position from tidemark.feed_entry order by 1`);
    expect(rows).toHaveLength(2);
  });

  it('keeps the last cursor of a feed in which nothing happened for longer', async () => {
    await publish(1);
    const last = await newest();
    await age();
    await expire();
    expect(await collect(readChanges(store.pool, last))).toEqual([]);
    expect(await newest()).toBe(last);
    await publish(1);
    expect(await collect(readChanges(store.pool, last))).toHaveLength(1);
  });

  it('fails a reader that is slower than the retention, and never skips what it has not read', async () => {
    const after = await newest();
    await publish(1_500);
    const reader = readChanges(store.pool, after);
    for (let n = 0; n < 900; n++) await reader.next();
    await age();
    await expire();
    const rest = (async () => {
      let read = 900;
      for await (const _ of reader) read += 1;
      return read;
    })();
    await expect(rest).rejects.toMatchObject({ type: 'CursorExpired' });
  });

  it('does not give up what is being published meanwhile', async () => {
    const after = await newest();
    const claim = await beginRun(store.pool, 'corp');
    await writeChanges(store.pool, claim, 1);
    const publisher = await store.pool.connect();
    await publisher.query('begin');
    await publishRuns(publisher, [claim.runId]);
    const givingUp = giveUpChanges(store.pool, 30 * dayMs);
    await eventually('maintenance that waits', async () => {
      const { rows } = await store.pool.query(
        `select 1 from pg_stat_activity where application_name = 'maintain/changes' and cardinality(pg_blocking_pids(pid)) > 0`,
      );
      return rows.length > 0;
    });
    await publisher.query('commit');
    publisher.release();
    await givingUp;
    expect(await collect(readChanges(store.pool, after))).toHaveLength(1);
  });
});

describe('a cursor that this feed never gave out', () => {
  it('is refused, of the future as of another database', async () => {
    await publish(1);
    const cursor = await newest();
    const [, position, tag, change] = /^(\d+)-(\w+):(\d+)$/.exec(cursor) as unknown as readonly string[];
    await using other = await openFeedDatabase();
    const foreign = [
      `${Number(position) + 1}-${tag}:${Number(change) + 1}`,
      `${position}-${tag}:${Number(change) + 1}`,
      `${position}-00000000:${change}`,
    ];
    for (const text of foreign) await expect(collect(readChanges(store.pool, text))).rejects.toMatchObject({ type: 'CursorUnknown' });
    await expect(collect(readChanges(other.store.pool, cursor))).rejects.toMatchObject({
      type: 'CursorUnknown',
      details: { remedy: expect.stringContaining('tidemark objects') },
    });
    for (const text of ['', '12', '12:3', 'x-y:z']) {
      await expect(collect(readChanges(store.pool, text))).rejects.toMatchObject({ type: 'InvalidConfiguration' });
    }
  });

  it('is refused after a restore from a backup, whatever was published since', async () => {
    await using origin = await createDatabase();
    await using before = await openFeedDatabase(origin.url);
    await addIntegration(before.store.pool, 'corp');
    await publish(1, before.store);
    const known = await newest(before.store);
    await before.store[Symbol.asyncDispose]();
    await using backup = await createDatabase({ template: new URL(origin.url).pathname.slice(1) });
    await using lost = await openFeedDatabase(origin.url);
    await using restored = await openFeedDatabase(backup.url);
    await publish(1, lost.store);
    await publish(1, restored.store);
    expect(await collect(readChanges(restored.store.pool, known))).toHaveLength(1);
    await expect(collect(readChanges(restored.store.pool, await newest(lost.store)))).rejects.toMatchObject({ type: 'CursorUnknown' });
  });
});
