import type pg from 'pg';

/** Any number that no other use of advisory locks in this database has. */
const feedLock = 7_467_325;

/**
 * Gives the runs' change rows their place in the change feed, one position a run. Positions are given under one lock that is held to the
 * end of the transaction, so a position can never become visible behind one that a reader has passed.
 */
export async function publishRuns(client: pg.ClientBase, runIds: readonly string[]): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1)', [feedLock]);
  await client.query(
    `update tidemark.sync_run r
        set feed_position = (select coalesce(max(feed_position), 0) from tidemark.sync_run) + n.place
       from (select id, row_number() over (order by id) as place
               from unnest($1::bigint[]) as id
              where exists (select 1 from tidemark.change c where c.run_id = id)) n
      where r.id = n.id and r.feed_position is null`,
    [runIds],
  );
}
