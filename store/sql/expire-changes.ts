import type pg from 'pg';
import { inTransaction } from '../fence.ts';

/**
 * Gives up the publications older than `retentionMs`: from here on a cursor before them is refused, so that removing their rows can never
 * look like changes that were not there.
 */
export async function giveUpChanges(pool: pg.Pool, retentionMs: number): Promise<void> {
  await inTransaction(pool, 'maintain/changes', async (client) => {
    // Locked before it is looked at: a publication in the making is seen by the second statement or comes after it.
    await client.query(`select 1 from tidemark.feed for no key update`);
    await client.query(
      `update tidemark.feed f
          set oldest_position = greatest(f.oldest_position, coalesce(
            (select min(e.position) from tidemark.feed_entry e
              where e.position >= f.oldest_position and e.published_at >= now() - $1 * interval '1 millisecond'),
            f.last_position + 1))`,
      [retentionMs],
    );
  });
}

interface GivenUp {
  readonly position: string;
  readonly run_id: string;
  readonly last_change: string;
  /** The position before the oldest stays without its changes: cursors that have read all of it are good. */
  readonly stays: boolean;
}

/** Removes the change rows that were given up, `batchSize` at a time; yields how many went with each. */
export async function* removeGivenUpChanges(pool: pg.Pool, batchSize: number): AsyncGenerator<number> {
  const { rows: entries } = await pool.query<GivenUp>(
    `select e.position, e.run_id, e.last_change, e.position = f.oldest_position - 1 as stays
       from tidemark.feed f join tidemark.feed_entry e on e.position < f.oldest_position order by e.position`,
  );
  for (const { position, run_id, last_change, stays } of entries) {
    for (let removed = batchSize; removed >= batchSize; ) {
      removed = await inTransaction(pool, 'maintain/changes', async (client) => {
        const { rowCount } = await client.query(
          `delete from tidemark.change c
            where c.ctid = any(array(select s.ctid from tidemark.change s where s.run_id = $1 and s.id <= $2 order by s.id limit $3))`,
          [run_id, last_change, batchSize],
        );
        return rowCount ?? 0;
      });
      if (removed > 0) yield removed;
    }
    if (!stays) await pool.query(`delete from tidemark.feed_entry where position = $1`, [position]);
  }
}
