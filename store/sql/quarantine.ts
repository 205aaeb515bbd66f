import type pg from 'pg';
import { listedStreams, type RunPlan, type Staged } from '../../model/run.ts';
import { stagedTokens } from './staging.ts';
import type { StagedRows } from './upsert-batch.ts';

/**
 * Sets aside what could not be mapped or stored, and lets go of what could be now, or is no longer there. The stored object, if any, stays
 * as it was. An item that the source gave no answer about stays set aside.
 */
export async function applyQuarantine(client: pg.ClientBase, rows: StagedRows): Promise<void> {
  const { plan } = rows;
  await recordQuarantined(client, rows, null);
  await client.query(
    `delete from tidemark.quarantine q
      where q.integration_id = $3
        and (exists (select 1 from tidemark.staged_item s
                      where s.run_id = $1 and s.token = any($4) and s.stream = q.stream and s.source_id = q.source_id
                        and s.kind not in ('unmatched', 'unknown'))
             or q.stream = any($5))
        and not exists (select 1 from tidemark.staged_verdict v
                         where v.run_id = $1 and v.token = $2 and v.stream = q.stream and v.source_id = q.source_id and v.verdict = 'quarantined')`,
    [plan.claim.runId, rows.verdictToken, plan.claim.integration, stagedTokens(rows.staged), listedStreams(plan, rows.staged)],
  );
}

/** Sets one object aside that PostgreSQL refused: its verdict becomes `quarantined`, so that no later statement meets it again. */
export async function setAside(client: pg.ClientBase, rows: StagedRows, seq: string, reason: string): Promise<void> {
  await client.query(
    `update tidemark.staged_verdict set verdict = 'quarantined', links = false, reason = $4 where run_id = $1 and token = $2 and seq = $3`,
    [rows.plan.claim.runId, rows.verdictToken, seq, reason],
  );
  await recordQuarantined(client, rows, seq);
}

/** Writes the rows of all quarantined verdicts, or of one. What is stored of them loses its hashes: it is looked at again whenever it is read. */
async function recordQuarantined(client: pg.ClientBase, rows: StagedRows, seq: string | null): Promise<void> {
  const { runId, integration } = rows.plan.claim;
  await client.query(
    `with aside as materialized (
       select v.stream, v.source_id, v.reason, i.source_hash, o.id as object_id
         from tidemark.staged_verdict v
         join tidemark.staged_item i on i.run_id = $1 and i.token = any($4) and i.seq = v.seq
         left join lateral (
           select s.id from tidemark.object s
            where s.integration_id = $3 and s.source_id = v.source_id and s.stream = v.stream offset 0) o on true
        where v.run_id = $1 and v.token = $2 and v.verdict = 'quarantined' and ($5::bigint is null or v.seq = $5)
     ), unhashed as (
       update tidemark.object o set source_hash = null
        where o.id = any(array(select a.object_id from aside a where a.object_id is not null)) and o.source_hash is not null
     ), unlinked as (
       delete from tidemark.links_state l where l.object_id = any(array(select a.object_id from aside a where a.object_id is not null))
     )
     insert into tidemark.quarantine (integration_id, stream, source_id, reason, fingerprint, first_run_id, last_run_id)
     select $3, a.stream, a.source_id, coalesce(a.reason, 'no reason given'), a.source_hash, $1, $1 from aside a
     on conflict (integration_id, stream, source_id)
       do update set reason = excluded.reason, fingerprint = excluded.fingerprint, last_run_id = excluded.last_run_id`,
    [runId, rows.verdictToken, integration, stagedTokens(rows.staged), seq],
  );
}

/** Which quarantined items to try again. */
export interface QuarantineChoice {
  readonly integration: string;
  /** Absent: those of every stream. */
  readonly stream?: string;
  /** Source ids; absent: all. */
  readonly ids?: readonly string[];
}

/** Asks the next run to read quarantined items again by id. Returns those that were there to ask for. */
export async function askForRetry(
  client: pg.Pool | pg.ClientBase,
  { integration, stream, ids }: QuarantineChoice,
): Promise<readonly { readonly stream: string; readonly sourceId: string }[]> {
  const { rows } = await client.query<{ stream: string; sourceId: string }>(
    `update tidemark.quarantine set retry_asked_at = now(), retry_run_id = null
      where integration_id = $1 and ($2::text is null or stream = $2) and ($3::text[] is null or source_id = any($3))
      returning stream, source_id as "sourceId"`,
    [integration, stream ?? null, ids ?? null],
  );
  return rows;
}

/** Whether somebody asked to have quarantined items of these streams tried again. */
export async function retriesAsked(pool: pg.Pool, integration: string, streams: readonly string[]): Promise<boolean> {
  const { rows } = await pool.query<{ asked: boolean }>(
    `select exists (select 1 from tidemark.quarantine
                     where integration_id = $1 and stream = any($2) and retry_asked_at is not null) as asked`,
    [integration, streams],
  );
  return rows[0]?.asked ?? false;
}

/**
 * The quarantined items that were asked to be tried again and that this run has not read anyway. They are marked as this run's, so that an
 * item asked for once more while it runs is left to the next one. A dry run leaves the marks alone.
 */
export async function takeRetries(
  client: pg.ClientBase,
  plan: RunPlan,
  staged: readonly Staged[],
): Promise<readonly { readonly stream: string; readonly source_id: string }[]> {
  const { runId, integration } = plan.claim;
  const streams = plan.streams.map(({ stream }) => stream);
  if (!plan.dryRun)
    await client.query(
      `update tidemark.quarantine set retry_run_id = $1 where integration_id = $2 and stream = any($3) and retry_asked_at is not null`,
      [runId, integration, streams],
    );
  const { rows } = await client.query<{ stream: string; source_id: string }>(
    `select q.stream, q.source_id
       from tidemark.quarantine q
      where q.integration_id = $3 and q.stream = any($4) and q.retry_asked_at is not null
        and not exists (select 1 from tidemark.staged_item s
                         where s.run_id = $1 and s.token = any($2) and s.stream = q.stream and s.source_id = q.source_id
                           and s.kind in ('object', 'created', 'gone'))`,
    [runId, stagedTokens(staged), integration, streams],
  );
  return rows;
}

/** At the end of a run: what it was to try again has been tried. */
export async function settleRetries(client: pg.ClientBase, integration: string, runId: string): Promise<void> {
  await client.query(
    `update tidemark.quarantine set retry_asked_at = null, retry_run_id = null where integration_id = $1 and retry_run_id = $2`,
    [integration, runId],
  );
}
