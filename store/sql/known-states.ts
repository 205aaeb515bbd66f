import type pg from 'pg';

export interface KnownState {
  readonly sourceHash: Buffer | null;
  readonly linksHash: Buffer | null;
  readonly mappingVersion: string;
}

/** What is stored of these ids, active objects only: compared with what the source gave, it tells the unchanged. */
export async function knownStates(
  pool: pg.Pool,
  integration: string,
  stream: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, KnownState>> {
  const { rows } = await pool.query<{ source_id: string; source_hash: Buffer | null; links_hash: Buffer | null; mapping_version: string }>({
    name: 'known-states',
    text: `select o.source_id, o.source_hash, l.links_hash, o.mapping_version
             from tidemark.object o
             left join lateral (select s.links_hash from tidemark.links_state s where s.object_id = o.id offset 0) l on true
            where o.integration_id = $1 and o.stream = $2 and o.source_id = any($3)
              and o.deleted_at is null and o.deactivated_at is null`,
    values: [integration, stream, ids],
  });
  return new Map(
    rows.map((row) => [row.source_id, { sourceHash: row.source_hash, linksHash: row.links_hash, mappingVersion: row.mapping_version }]),
  );
}

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
