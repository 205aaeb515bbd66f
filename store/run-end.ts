import type pg from 'pg';
import type { Marker } from '../model/marker.ts';
import type {
  Claim,
  Decision,
  LinkTotals,
  RequestedMode,
  RunFailure,
  RunPlan,
  Staged,
  StepRecord,
  StreamPlan,
  StreamTotals,
} from '../model/run.ts';
import { fenced, type IsOpen, inOneTransaction, inTransaction, type StepAttempt, staleRun } from './fence.ts';
import { settleArrivals } from './sql/arrivals.ts';
import { dropDeclined, settleDecided } from './sql/decide-held.ts';
import { publishRuns } from './sql/publish-run.ts';
import { settleRetries } from './sql/quarantine.ts';
import { readDrift } from './sql/read-drift.ts';
import { clearStaging, dropStaging, verifyStaged } from './sql/staging.ts';

export interface CommitParameters {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
  readonly steps: Readonly<Record<string, StepRecord>>;
}

/**
 * Ends a run that has applied everything, in one transaction: next markers by compare-and-set, totals, staging removed, changes published,
 * claim given back.
 */
export async function commitRun(pool: pg.Pool, isOpen: IsOpen, { plan, staged, steps }: CommitParameters): Promise<void> {
  await inOneTransaction(pool, plan.claim, 'commit', isOpen, async (client) => {
    const { runId, integration } = plan.claim;
    // A crash of PostgreSQL between two batches leaves the last step nothing more to do, and after it nothing to tell drift by.
    await verifyStaged(client, plan, staged);
    const moves = plan.steps.upsert && !plan.dryRun;
    if (moves) {
      const advancing = plan.streams.flatMap((stream) => (stream.next === null ? [] : [{ ...stream, next: stream.next }]));
      await advanceMarkers(client, plan.claim, advancing);
    }
    const totals = await streamTotals(client, plan, staged, moves);
    const links = await linkTotals(client, plan.claim);
    const drift = await readDrift(client, plan, staged);
    // What a dry run would have come to was counted before it was taken back.
    await client.query(
      `update tidemark.sync_run
          set outcome = 'succeeded', finished_at = now(), sealed = $2, streams = coalesce(plan -> 'streams', $3), links = coalesce(plan -> 'links', $4),
              steps = steps || $5, drift = case when plan is null then $6 else nullif(plan -> 'drift', 'null') end
        where id = $1`,
      [runId, sealed(plan, staged), JSON.stringify(totals), JSON.stringify(links), JSON.stringify(steps), drift && JSON.stringify(drift)],
    );
    await settleRetries(client, integration, runId);
    if (!plan.dryRun) await settleArrivals(client, integration);
    await client.query(`delete from tidemark.run_count where run_id = $1`, [runId]);
    if (plan.approval) await settleDecided(client, [runId]);
    await publishRuns(client, [runId]);
    await releaseClaim(client, integration, runId);
    await clearStaging(client, runId, staged);
  });
}

/** Ends a run that refuses held deletions, in one transaction: their rows are dropped and recorded, the claim is given back. */
export async function declineRun(pool: pg.Pool, attempt: StepAttempt, reason: string): Promise<void> {
  await fenced(pool, attempt, 'exclusive', async (client) => {
    const { runId, integration } = attempt.claim;
    await dropDeclined(client, runId);
    await settleDecided(client, [runId]);
    await client.query(`update tidemark.sync_run set outcome = 'succeeded', finished_at = now(), reason = $2 where id = $1`, [
      runId,
      reason,
    ]);
    await releaseClaim(client, integration, runId);
  });
}

export interface FailParameters {
  readonly integration: string;
  readonly workflowId: string;
  readonly temporalRunId: string;
  readonly launcherId: string;
  readonly requestedMode: RequestedMode;
  readonly requestedAt: string;
  readonly decision: Decision | null;
  readonly dryRun: boolean;
  readonly outcome: 'failed' | 'cancelled';
  readonly failure: RunFailure | null;
  readonly steps: Readonly<Record<string, StepRecord>>;
}

/** Records the end of a run that did not succeed. A run that has committed stays as it is; markers are never touched. Returns the run's number. */
export async function failRun(pool: pg.Pool, end: FailParameters): Promise<string> {
  return inTransaction(pool, `fail/${end.integration}`, async (client) => {
    await client.query(`select 1 from tidemark.integration where id = $1 for no key update`, [end.integration]);
    const { rows } = await client.query<{ id: string }>(
      `insert into tidemark.sync_run
         (integration_id, workflow_id, temporal_run_id, launcher_id, requested_mode, outcome, failure, requested_at, finished_at, steps, decision, dry_run)
       values ($1, $2, $3, $4, $5, $6, $7, $8, now(), $9, $10, $11)
       on conflict (temporal_run_id) do update set
         outcome = case when sync_run.outcome = 'running' then excluded.outcome else sync_run.outcome end,
         failure = case when sync_run.outcome = 'running' then excluded.failure else sync_run.failure end,
         finished_at = coalesce(sync_run.finished_at, excluded.finished_at),
         steps = sync_run.steps || excluded.steps
       returning id`,
      [
        end.integration,
        end.workflowId,
        end.temporalRunId,
        end.launcherId,
        end.requestedMode,
        end.outcome,
        end.failure && JSON.stringify(end.failure),
        end.requestedAt,
        JSON.stringify(end.steps),
        end.decision && JSON.stringify(end.decision),
        end.dryRun,
      ],
    );
    const runId = rows[0]?.id as string;
    await dropStaging(client, [runId]);
    await settleDecided(client, [runId]);
    await publishRuns(client, [runId]);
    await releaseClaim(client, end.integration, runId);
    return runId;
  });
}

/** Gives the right to write back, unless another run has it. */
export async function releaseClaim(client: pg.ClientBase, integration: string, runId: string): Promise<void> {
  await client.query(
    `update tidemark.integration set claimed_by = null, claimed_run = null, step_tokens = '{}' where id = $1 and claimed_run = $2`,
    [integration, runId],
  );
}

/** A marker, as it is and as it is to be. */
type MarkerMove = Pick<StreamPlan, 'stream' | 'mode' | 'stored' | 'fingerprint' | 'scope' | 'mappingVersion'> & { readonly next: Marker };

/** Compare-and-set: a marker that was changed or reset since begin read it makes the run stale. */
export async function advanceMarkers(client: pg.ClientBase, claim: Claim, moves: readonly MarkerMove[]): Promise<void> {
  const rows = moves.map(({ stream, mode, stored, next, fingerprint, scope, mappingVersion }) => ({
    stream,
    kind: next.kind,
    position: next.position,
    server_id: next.server.id,
    server_name: next.server.name,
    fingerprint,
    taken_at: next.takenAt,
    scope,
    mapping_version: mappingVersion,
    complete: mode === 'complete',
    version: stored?.version ?? null,
  }));
  const { rows: counts } = await client.query<{ moved: string }>(
    `with move as materialized (
       select n.*, r.id as run_id, r.begun_at
         from tidemark.sync_run r
        cross join jsonb_to_recordset($3::jsonb) as n(
           stream text, kind text, position text, server_id text, server_name text, fingerprint text, taken_at timestamptz, scope text,
           mapping_version text, complete boolean, version bigint)
        where r.id = $2
     ), first as (
       insert into tidemark.marker
         (integration_id, stream, kind, position, server_id, server_name, fingerprint, taken_at, run_id, complete_at, scope, mapping_version)
       select $1, n.stream, n.kind, n.position, n.server_id, n.server_name, n.fingerprint, n.taken_at, n.run_id, n.begun_at, n.scope, n.mapping_version
         from move n where n.version is null
       on conflict do nothing
       returning 1
     ), advanced as (
       update tidemark.marker m
          set kind = n.kind, position = n.position, server_id = n.server_id, server_name = n.server_name, fingerprint = n.fingerprint,
              taken_at = n.taken_at, run_id = n.run_id, scope = n.scope, mapping_version = n.mapping_version,
              complete_at = case when n.complete then n.begun_at else m.complete_at end, version = m.version + 1
         from move n
        where m.integration_id = $1 and m.stream = n.stream and m.version = n.version
       returning 1
     )
     select (select count(*) from first) + (select count(*) from advanced) as moved`,
    [claim.integration, claim.runId, JSON.stringify(rows)],
  );
  if (Number(counts[0]?.moved) !== moves.length) throw staleRun(claim);
}

/** What the run has come to, by stream; read before its staging goes. */
export async function streamTotals(
  client: pg.ClientBase,
  plan: RunPlan,
  staged: readonly Staged[],
  moves: boolean,
): Promise<Readonly<Record<string, StreamTotals>>> {
  const { runId } = plan.claim;
  const { rows } = await client.query<{ stream: string; kind: string; count: string }>(
    `select stream, kind, sum(changes) as count from tidemark.run_count where run_id = $1 and stream is not null group by stream, kind
      union all
     select stream, 'held', count(*) from tidemark.held_deletion where last_run_id = $1 group by stream
      union all
     select stream, 'quarantined', count(*) from tidemark.quarantine where last_run_id = $1 and integration_id = $2 group by stream`,
    [runId, plan.claim.integration],
  );
  const of = (stream: string, kind: string) => Number(rows.find((row) => row.stream === stream && row.kind === kind)?.count ?? 0);
  return Object.fromEntries(
    plan.streams.map((stream) => {
      const parts = staged.filter((part) => part.stream === stream.stream);
      const read = parts.reduce((sum, part) => sum + part.read, 0);
      const [created, updated, restored, deleted, deactivated] = ['created', 'updated', 'restored', 'deleted', 'deactivated'].map((kind) =>
        of(stream.stream, kind),
      ) as [number, number, number, number, number];
      const totals: StreamTotals = {
        mode: plan.server === null || plan.approval ? null : stream.mode,
        reason: stream.reason,
        read,
        created,
        updated,
        unchanged: parts.reduce((sum, part) => sum + part.unchanged, 0),
        deleted,
        deactivated,
        restored,
        held: of(stream.stream, 'held'),
        quarantined: of(stream.stream, 'quarantined'),
        marker: {
          before: stream.stored?.marker.position ?? null,
          after: (moves ? stream.next?.position : undefined) ?? stream.stored?.marker.position ?? null,
        },
      };
      return [stream.stream, totals];
    }),
  );
}

/** What the run has done to links. */
export async function linkTotals(client: pg.ClientBase, claim: Claim): Promise<LinkTotals> {
  const { rows } = await client.query<{ added: string; removed: string; held: string; unresolved: string }>(
    `select (select coalesce(sum(changes), 0) from tidemark.run_count where run_id = $1 and kind = 'link-added') as added,
            (select coalesce(sum(changes), 0) from tidemark.run_count where run_id = $1 and kind = 'link-removed') as removed,
            (select count(*) from tidemark.held_deletion where last_run_id = $1 and link is not null) as held,
            (select count(*) from tidemark.unresolved_link where integration_id = $2) as unresolved`,
    [claim.runId, claim.integration],
  );
  const { added, removed, held, unresolved } = rows[0] ?? {};
  return { added: Number(added), removed: Number(removed), held: Number(held), unresolved: Number(unresolved) };
}

function sealed(plan: RunPlan, staged: readonly Staged[]): boolean {
  return plan.streams
    .filter((stream) => stream.mode === 'complete')
    .every((stream) => staged.some((part) => part.stream === stream.stream && part.sealed));
}
