import type pg from 'pg';

/** Objects of a stream that are neither deleted nor deactivated: what percentages are of. Counts no further than `enough`. */
export async function countActive(
  client: pg.Pool | pg.ClientBase,
  integration: string,
  stream: string,
  enough = Number.POSITIVE_INFINITY,
): Promise<number> {
  // In the order of the index, which makes the planner begin with it rather than with the first page of the table.
  const { rows } = await client.query<{ objects: string }>(
    `select count(*) as objects
       from (select from tidemark.object
              where integration_id = $1 and stream = $2 and deleted_at is null and deactivated_at is null
              order by source_id limit $3) o`,
    [integration, stream, Number.isFinite(enough) ? enough : null],
  );
  return Number(rows[0]?.objects ?? 0);
}

/** Whether anything of an integration, or of one of its streams, is stored, deleted or not. */
export async function isStored(pool: pg.Pool, integration: string, stream?: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `select from tidemark.object where integration_id = $1 and ($2::text is null or stream = $2) order by source_id limit 1`,
    [integration, stream ?? null],
  );
  return rowCount !== 0;
}
