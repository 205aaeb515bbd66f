import type pg from 'pg';

/** Objects of a stream that are neither deleted nor deactivated: what percentages are of. */
export async function countActive(client: pg.Pool | pg.ClientBase, integration: string, stream: string): Promise<number> {
  const { rows } = await client.query<{ objects: string }>(
    `select count(*) as objects from tidemark.object
      where integration_id = $1 and stream = $2 and deleted_at is null and deactivated_at is null`,
    [integration, stream],
  );
  return Number(rows[0]?.objects ?? 0);
}
