import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Claim, RunPlan } from '../../../model/run.ts';
import { claimIntegration } from '../../../store/claims.ts';
import { fenced, type StepAttempt, startAttempt } from '../../../store/fence.ts';
import { commitRun, failRun } from '../../../store/run-end.ts';
import { openStore, type Store } from '../../../store/store.ts';
import { createDatabase } from '../../support/postgres.ts';

/** A database with integrations of a few objects each, whose runs a test makes by hand with the store's own functions. */
export interface FeedDatabase extends AsyncDisposable {
  readonly store: Store;
  readonly url: string;
}

export async function openFeedDatabase(url?: string): Promise<FeedDatabase> {
  const undo = new AsyncDisposableStack();
  const address = url ?? undo.use(await createDatabase()).url;
  const store = undo.use(await openStore(address, { maxConnections: 40 }));
  await store.migrate();
  return { store, url: address, [Symbol.asyncDispose]: () => undo.disposeAsync() };
}

export async function addIntegration(pool: pg.Pool, id: string, objects = 3): Promise<void> {
  await pool.query(`insert into tidemark.integration (id, connector) values ($1, 'scripted')`, [id]);
  await pool.query(
    `with version as (insert into tidemark.integration_config (integration_id, digest, config) values ($1, 'x', '{"streams": {}}') returning id)
     update tidemark.integration set config_id = (select id from version) where id = $1`,
    [id],
  );
  await pool.query(
    `insert into tidemark.object (integration_id, stream, source_id, attributes, source, mapping_version)
     select $1, 'users', 'u' || n, '{}', '{}', '1' from generate_series(1, $2::int) n`,
    [id, objects],
  );
}

const open = async () => true;

/** Begins a run, as its `begin` does; what an earlier one of the integration left open is closed and published. */
export async function beginRun(pool: pg.Pool, integration: string, temporalRunId: string = randomUUID()): Promise<Claim> {
  const { claim } = await claimIntegration(
    pool,
    {
      request: { integration, mode: 'delta', launcherId: 'launch', requestedAt: new Date().toISOString() },
      workflowId: `sync/${integration}`,
      temporalRunId,
      begunAt: new Date(),
    },
    open,
  );
  return claim;
}

/** Writes change rows in a transaction of the run. */
export async function writeChanges(pool: pg.Pool, claim: Claim, count: number): Promise<void> {
  const attempt = await startAttempt(pool, claim, 'upsert', open);
  await writeAs(pool, attempt, count);
}

function writeAs(pool: pg.Pool, attempt: StepAttempt, count: number): Promise<unknown> {
  return fenced(pool, attempt, 'shared', (client) =>
    client.query(
      `insert into tidemark.change (run_id, object_id, kind, before, after)
       select $1, o.id, 'updated', jsonb_build_object('n', n), jsonb_build_object('n', n + 1)
         from generate_series(1, $3::int) n
         join (select id, row_number() over (order by id) as place, count(*) over () as all from tidemark.object where integration_id = $2) o
           on o.place = 1 + n % o.all`,
      [attempt.claim.runId, attempt.claim.integration, count],
    ),
  );
}

/** Ends a run as its `commit` does. */
export async function commit(pool: pg.Pool, claim: Claim): Promise<void> {
  const plan: RunPlan = {
    claim,
    configId: '1',
    connectorType: 'scripted',
    mode: 'delta',
    reason: 'test',
    server: { id: 's', name: 's' },
    streams: [],
    steps: { query: true, transform: true, lookup: true, upsert: true, membership: true, cleanup: true },
    skipped: {},
    retries: false,
    dryRun: false,
    creates: false,
  };
  await commitRun(pool, open, { plan, staged: [], steps: {} });
}

/** Ends a run as its `fail` does. */
export async function fail(pool: pg.Pool, claim: Claim, outcome: 'failed' | 'cancelled' = 'failed'): Promise<void> {
  await failRun(pool, {
    integration: claim.integration,
    workflowId: `sync/${claim.integration}`,
    temporalRunId: claim.temporalRunId,
    launcherId: 'launch',
    requestedMode: 'delta',
    requestedAt: new Date().toISOString(),
    outcome,
    failure: null,
    decision: null,
    dryRun: false,
    steps: {},
  });
}

/** The change ids of cursors, in the order they were read. */
export function changeIds(changes: readonly { readonly cursor: string }[]): readonly string[] {
  return changes.map(({ cursor }) => cursor.slice(cursor.indexOf(':') + 1));
}

export async function collect<T>(rows: AsyncIterable<T>): Promise<readonly T[]> {
  const collected: T[] = [];
  for await (const row of rows) collected.push(row);
  return collected;
}
