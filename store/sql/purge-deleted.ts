import type pg from 'pg';
import { inTransaction } from '../fence.ts';

/**
 * Removes for good up to `batchSize` objects that have been deleted for longer than `purgeAfterMs` and whose changes have all left the
 * feed: its readers are told which object a change is of. Nothing is removed while a run of the integration is open, as it may be about
 * to restore what was looked up. Returns how many objects went, or `busy`.
 */
export async function purgeDeleted(pool: pg.Pool, integration: string, purgeAfterMs: number, batchSize: number): Promise<number | 'busy'> {
  const ids = await findPurgeable(pool, integration, purgeAfterMs, batchSize);
  if (ids.length === 0) return 0;
  return inTransaction(pool, `maintain/${integration}`, async (client) => {
    const { rowCount: free } = await client.query(
      `select 1 from tidemark.integration where id = $1 and claimed_run is null for no key update skip locked`,
      [integration],
    );
    if (free !== 1) return 'busy';
    // Nobody changes a deleted object but a run that restores it, and that one takes the time of deletion away.
    const { rows } = await client.query<{ id: string }>(
      `delete from tidemark.object o
        where o.id = any($1::bigint[]) and o.deleted_at < now() - $2 * interval '1 millisecond' returning o.id`,
      [ids, purgeAfterMs],
    );
    const gone = rows.map(({ id }) => id);
    await client.query(`delete from tidemark.links_state where object_id = any($1::bigint[])`, [gone]);
    await client.query(`delete from tidemark.unresolved_link where from_id = any($1::bigint[])`, [gone]);
    // Their identities, if they had any, are told by the next run of those that they are gone, and so are their keys.
    await client.query(
      `insert into tidemark.identity_pending (level, object_id, changed)
       select k.level, k.object_id, true
         from unnest($1::bigint[]) as g (id)
         cross join lateral (
           select i.level, i.object_id from tidemark.identity_object i where i.object_id = g.id
           union
           select e.level, e.object_id from tidemark.identity_key e where e.object_id = g.id offset 0) k
       on conflict (level, object_id) do nothing`,
      [gone],
    );
    return gone.length;
  });
}

/** Read outside the lock: this looks through all change rows. */
async function findPurgeable(pool: pg.Pool, integration: string, purgeAfterMs: number, batchSize: number): Promise<readonly string[]> {
  return inTransaction(pool, `maintain/${integration}`, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `select o.id from tidemark.object o
        where o.integration_id = $1 and o.deleted_at < now() - $2 * interval '1 millisecond'
          and not exists (select 1 from tidemark.change c where c.object_id = o.id)
          and not exists (select 1 from tidemark.change c where c.target_id = o.id)
          and not exists (select 1 from tidemark.held_deletion h where h.object_id = o.id)
          and not exists (select 1 from tidemark.held_deletion h where h.target_id = o.id)
        order by o.id limit $3`,
      [integration, purgeAfterMs, batchSize],
    );
    return rows.map(({ id }) => id);
  });
}
