import type pg from 'pg';
import type { StreamPlan } from '../../model/run.ts';
import type { StepAttempt } from '../fence.ts';

export interface StoredPage {
  readonly stream: Pick<StreamPlan, 'stream' | 'mappingVersion'>;
  /** Number of the page's first row. */
  readonly firstSeq: number;
  /** The source id after which the page begins; null for the first. */
  readonly after: string | null;
  readonly size: number;
}

export interface StagedPage {
  readonly rows: number;
  /** The last source id; null if there was none. */
  readonly last: string | null;
}

/**
 * Stages one page of the stored source records whose attributes come from another mapping; links are left alone. Objects that are held or
 * quarantined are left out: what is stored of them is in doubt, and they are mapped when they are read again.
 */
export async function stageStored(
  client: pg.ClientBase,
  { claim, token }: StepAttempt,
  { stream: { stream, mappingVersion }, firstSeq, after, size }: StoredPage,
): Promise<StagedPage> {
  const { rows } = await client.query<StagedPage>(
    `with page as materialized (
       select o.source_id, o.key, o.source, o.source_hash
         from tidemark.object o
        where o.integration_id = $3 and o.stream = $4 and o.source_id > $5 and o.mapping_version <> $6
          and o.deleted_at is null and o.deactivated_at is null
          and not exists (select 1 from tidemark.held_deletion h where h.object_id = o.id and h.link is null)
          and not exists (select 1 from tidemark.quarantine q
                           where q.integration_id = $3 and q.stream = $4 and q.source_id = o.source_id)
        order by o.source_id limit $8
     ), staged as (
       insert into tidemark.staged_item (run_id, token, seq, stream, kind, source_id, key, attributes, source_hash)
       select $1, $2, $7::bigint - 1 + row_number() over (order by p.source_id), $4, 'stored', p.source_id, p.key, p.source, p.source_hash from page p
     )
     select count(*)::int as rows, max(p.source_id) as last from page p`,
    [claim.runId, token, claim.integration, stream, after ?? '', mappingVersion, firstSeq, size],
  );
  return rows[0] as StagedPage;
}
