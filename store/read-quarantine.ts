import type { Store } from './store.ts';

/** An item that could not be mapped, validated or stored. */
export interface QuarantinedRow {
  readonly integration: string;
  readonly stream: string;
  /** `sha256:...` stands in for an id that cannot be stored itself. */
  readonly sourceId: string;
  /** Names attributes and rules, never a value. */
  readonly reason: string;
  /** Hash of the item as it was read, in hex; null if it could not be taken. */
  readonly fingerprint: string | null;
  readonly firstRun: string;
  /** The last run that read it and set it aside again. */
  readonly lastRun: string;
  /** Since when; ISO 8601, UTC. */
  readonly since: string;
  /** When somebody asked to have it tried again; null if nobody did since it was last tried. */
  readonly retryAskedAt: string | null;
  /** An object of that id is stored, as it was before. */
  readonly stored: boolean;
}

export interface QuarantineFilter {
  readonly integration?: string;
  readonly stream?: string;
  /** At most this many; absent: all. */
  readonly limit?: number;
}

/** What is in quarantine, longest first. */
export async function readQuarantined(store: Store, { integration, stream, limit }: QuarantineFilter): Promise<readonly QuarantinedRow[]> {
  const { rows } = await store.pool.query<
    Omit<QuarantinedRow, 'since' | 'retryAskedAt'> & { readonly since: Date; readonly retryAskedAt: Date | null }
  >(
    `select q.integration_id as "integration", q.stream, q.source_id as "sourceId", q.reason, encode(q.fingerprint, 'hex') as fingerprint,
            q.first_run_id as "firstRun", q.last_run_id as "lastRun", q.first_at as since, q.retry_asked_at as "retryAskedAt",
            exists (select 1 from tidemark.object o
                     where o.integration_id = q.integration_id and o.source_id = q.source_id and o.stream = q.stream
                       and o.deleted_at is null) as stored
       from tidemark.quarantine q
      where ($1::text is null or q.integration_id = $1) and ($2::text is null or q.stream = $2)
      order by q.first_at, q.integration_id, q.stream, q.source_id limit $3`,
    [integration ?? null, stream ?? null, limit ?? null],
  );
  return rows.map((row) => ({ ...row, since: row.since.toISOString(), retryAskedAt: row.retryAskedAt?.toISOString() ?? null }));
}
