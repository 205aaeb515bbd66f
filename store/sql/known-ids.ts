import type pg from 'pg';

/** Which of these ids anything is known of: stored and not deleted, in quarantine, or staged by this attempt. News of others means nothing. */
export async function knownIds(
  pool: pg.Pool,
  integration: string,
  stream: string,
  ids: readonly string[],
  attempt: { readonly runId: string; readonly token: string },
): Promise<ReadonlySet<string>> {
  const { rows } = await pool.query<{ source_id: string }>(
    `select source_id from tidemark.object where integration_id = $1 and stream = $2 and source_id = any($3) and deleted_at is null
      union
     select source_id from tidemark.quarantine where integration_id = $1 and stream = $2 and source_id = any($3)
      union
     select source_id from tidemark.staged_item where run_id = $4 and token = $5 and source_id = any($3)`,
    [integration, stream, ids, attempt.runId, attempt.token],
  );
  return new Set(rows.map((row) => row.source_id));
}
