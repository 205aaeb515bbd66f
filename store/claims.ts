import type pg from 'pg';
import { TidemarkFailure } from '../model/failure.ts';
import type { Claim, SyncRequest } from '../model/run.ts';
import { identitiesName } from '../model/workflow-ids.ts';
import { despiteFrozenWriters, inTransaction } from './fence.ts';
import { settleDecided } from './sql/decide-held.ts';
import { publishRuns } from './sql/publish-run.ts';
import { dropStaging } from './sql/staging.ts';

export interface ClaimRequest {
  readonly request: SyncRequest;
  readonly workflowId: string;
  /** Temporal run id of this `syncIntegration` workflow. */
  readonly temporalRunId: string;
  /** When Temporal scheduled begin: what "began after" is judged by. */
  readonly begunAt: Date;
}

export interface GrantedClaim {
  readonly claim: Claim;
  /** The configuration version that every step of this run uses. */
  readonly configId: string;
}

/**
 * Claims an integration for a run: closes runs that were left open (terminated, timed out), publishes what they had changed, drops their
 * staging, and raises the epoch so that their writers are refused. Claiming again with the same Temporal run id is the same claim.
 */
export async function claimIntegration(
  pool: pg.Pool,
  asked: ClaimRequest,
  isOpen: (temporalRunId: string) => Promise<boolean>,
): Promise<GrantedClaim> {
  const { request, temporalRunId } = asked;
  const { integration } = request;
  const claim = () => inTransaction(pool, `claim/${integration}`, (client) => claimWithin(client, asked, isOpen));
  return despiteFrozenWriters(pool, { integration, runId: null, steps: [] }, () => isOpen(temporalRunId), claim);
}

async function claimWithin(
  client: pg.ClientBase,
  { request, temporalRunId, workflowId, begunAt }: ClaimRequest,
  isOpen: (temporalRunId: string) => Promise<boolean>,
): Promise<GrantedClaim> {
  const { integration } = request;
  const { rows } = await client.query<{
    config_id: string | null;
    run_epoch: string;
    claimed_by: string | null;
    claimed_run: string | null;
    removed: boolean;
  }>(
    `select config_id, run_epoch, claimed_by, claimed_run, removed_at is not null as removed
       from tidemark.integration where id = $1 for no key update`,
    [integration],
  );
  const row = rows[0];
  if (!row || row.removed || row.config_id === null) {
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `There ${integration === identitiesName ? 'are no rules for identities' : `is no integration ${integration}`}${row?.removed ? ': it was removed from the configuration' : ''}.`,
      {
        integration,
        remedy:
          integration === identitiesName
            ? `Write the block identities in tidemark.yaml and run "tidemark apply".`
            : `Name it in tidemark.yaml and run "tidemark apply", or correct the name.`,
      },
    );
  }
  if (!(await isOpen(temporalRunId))) {
    throw new TidemarkFailure('StaleRun', `The workflow run ${temporalRunId} of integration ${integration} is closed; it may not begin.`, {
      integration,
    });
  }
  if (row.claimed_by === temporalRunId && row.claimed_run !== null) {
    const { rows: own } = await client.query<{ config_id: string }>(`select config_id from tidemark.sync_run where id = $1`, [
      row.claimed_run,
    ]);
    await client.query(`update tidemark.sync_run set begun_at = $2, plan = null where id = $1`, [row.claimed_run, begunAt]);
    return {
      claim: { integration, runId: row.claimed_run, epoch: row.run_epoch, temporalRunId },
      configId: own[0]?.config_id ?? row.config_id,
    };
  }
  await closeLeftOpen(client, integration, temporalRunId);
  const { rows: run } = await client.query<{ id: string }>(
    `insert into tidemark.sync_run
       (integration_id, workflow_id, temporal_run_id, launcher_id, requested_mode, requested_streams, outcome, config_id, requested_at, begun_at, decision,
        dry_run)
     values ($1, $2, $3, $4, $5, $6, 'running', $7, $8, $9, $10, $11)
     on conflict (temporal_run_id)
       do update set outcome = 'running', failure = null, finished_at = null, config_id = excluded.config_id, begun_at = excluded.begun_at, plan = null
     returning id`,
    [
      integration,
      workflowId,
      temporalRunId,
      request.launcherId,
      request.mode,
      request.streams ?? null,
      row.config_id,
      request.requestedAt,
      begunAt,
      request.decision ? JSON.stringify(request.decision) : null,
      request.dryRun ?? false,
    ],
  );
  const runId = run[0]?.id as string;
  const { rows: claimed } = await client.query<{ run_epoch: string }>(
    `update tidemark.integration set run_epoch = run_epoch + 1, claimed_by = $2, claimed_run = $3, step_tokens = '{}' where id = $1 returning run_epoch`,
    [integration, temporalRunId, runId],
  );
  return { claim: { integration, runId, epoch: claimed[0]?.run_epoch as string, temporalRunId }, configId: row.config_id };
}

const leftOpen = {
  type: 'Terminated',
  message: 'The run ended without recording its end: it was terminated, reset or timed out. What it had applied stays; no marker moved.',
};

/** A run whose end nobody has recorded. */
export interface UnendedRun {
  readonly runId: string;
  readonly integration: string;
  readonly workflowId: string;
  readonly temporalRunId: string;
}

export async function findUnendedRuns(pool: pg.Pool): Promise<readonly UnendedRun[]> {
  const { rows } = await pool.query<UnendedRun>(
    `select id as "runId", integration_id as integration, workflow_id as "workflowId", temporal_run_id as "temporalRunId"
       from tidemark.sync_run where outcome = 'running' order by id`,
  );
  return rows;
}

/**
 * Closes a run that Temporal says is closed, as the next run of its integration would: publishes what it had changed, drops its staging,
 * takes its claim away, so that what a worker that was cut off still sends is refused. False if it has been closed meanwhile, or if its
 * integration is locked just now.
 */
export async function closeAbandoned(pool: pg.Pool, { runId, integration }: UnendedRun): Promise<boolean> {
  return inTransaction(pool, `close/${integration}`, async (client) => {
    const { rowCount: locked } = await client.query(`select 1 from tidemark.integration where id = $1 for no key update skip locked`, [
      integration,
    ]);
    if (locked !== 1) return false;
    const { rowCount: closed } = await client.query(
      `update tidemark.sync_run set outcome = 'failed', failure = $2, finished_at = now() where id = $1 and outcome = 'running'`,
      [runId, JSON.stringify(leftOpen)],
    );
    if (closed !== 1) return false;
    await client.query(
      `update tidemark.integration set claimed_by = null, claimed_run = null, step_tokens = '{}' where id = $1 and claimed_run = $2`,
      [integration, runId],
    );
    await endUnrecorded(client, [runId]);
    return true;
  });
}

async function closeLeftOpen(client: pg.ClientBase, integration: string, temporalRunId: string): Promise<void> {
  const { rows } = await client.query<{ id: string }>(
    `update tidemark.sync_run set outcome = 'failed', failure = $3, finished_at = now()
      where integration_id = $1 and outcome = 'running' and temporal_run_id <> $2
      returning id`,
    [integration, temporalRunId, JSON.stringify(leftOpen)],
  );
  if (rows.length > 0)
    await endUnrecorded(
      client,
      rows.map((row) => row.id),
    );
}

/** What is left of runs that did not come to their end. */
async function endUnrecorded(client: pg.ClientBase, runIds: readonly string[]): Promise<void> {
  await dropStaging(client, runIds);
  await settleDecided(client, runIds);
  await publishRuns(client, runIds);
}
