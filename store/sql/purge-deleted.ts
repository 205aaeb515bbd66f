import type pg from 'pg';

/** Removes for good what has been deleted for longer than `purgeAfterMs`, with its change rows. Returns how many objects went. */
export async function purgeDeleted(
  client: pg.ClientBase,
  integration: string,
  streams: readonly string[],
  purgeAfterMs: number,
): Promise<number> {
  const { rows } = await client.query<{ ids: string[] | null }>(
    `select array_agg(o.id) as ids from tidemark.object o
      where o.integration_id = $1 and o.stream = any($2) and o.deleted_at < now() - $3 * interval '1 millisecond'`,
    [integration, streams, purgeAfterMs],
  );
  const ids = rows[0]?.ids ?? [];
  if (ids.length === 0) return 0;
  await client.query(`delete from tidemark.change where object_id = any($1::bigint[]) or target_id = any($1::bigint[])`, [ids]);
  await client.query(`delete from tidemark.object where id = any($1::bigint[])`, [ids]);
  return ids.length;
}
