import type pg from 'pg';

/** The channel on which a publication is told once it is visible; the notification carries nothing. */
export const feedChannel = 'tidemark_changes';

/**
 * Gives the runs' change rows that have none a position each in the change feed. Positions are given under the lock of the feed's one row,
 * held to the end of the transaction: a position never becomes visible behind one that a reader has passed. The caller holds the locks of
 * the runs' integrations, so that nothing more comes for these runs; a run that begins again after it was published gets another position
 * for the rest. Without changes nothing is locked and nobody is told.
 */
export async function publishRuns(client: pg.ClientBase, runIds: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ run_id: string; integration_id: string; published: string; last: string }>(
    `select r.id as run_id, r.integration_id, p.last as published, c.last
       from tidemark.sync_run r
       cross join lateral (
         select coalesce(max(e.last_change), 0) as last from tidemark.feed_entry e where e.run_id = r.id offset 0) p
       cross join lateral (select s.id as last from tidemark.change s where s.run_id = r.id order by s.id desc limit 1) c
      where r.id = any($1::bigint[]) and c.last > p.last
      order by r.id`,
    [runIds],
  );
  if (rows.length === 0) return;
  const { rows: moved } = await client.query<{ before: string }>(
    `update tidemark.feed set last_position = last_position + $1 returning last_position - $1 as before`,
    [rows.length],
  );
  await client.query(
    `insert into tidemark.feed_entry (position, run_id, integration_id, after_change, last_change)
     select $1::bigint + u.place, u.run_id, u.integration_id, u.published, u.last
       from unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) with ordinality
         as u(run_id, integration_id, published, last, place)`,
    [
      moved[0]?.before,
      rows.map((row) => row.run_id),
      rows.map((row) => row.integration_id),
      rows.map((row) => row.published),
      rows.map((row) => row.last),
    ],
  );
  await client.query(`select pg_notify('${feedChannel}', '')`);
}
