import type pg from 'pg';
import { TidemarkFailure } from '../../model/failure.ts';
import { createdWhileRead, type RunPlan, type Staged } from '../../model/run.ts';
import { fenced, inTransaction, type StepAttempt } from '../fence.ts';

const stagingTables = [
  'staged_item',
  'staged_seen',
  'staged_link',
  'staged_touched',
  'staged_mapping',
  'staged_verdict',
  'staged_attempt',
] as const;
type StagingTable = (typeof stagingTables)[number];

/** The staged rows that count: those of the attempts that the query and re-read steps returned. */
export function stagedTokens(staged: readonly Staged[]): readonly string[] {
  return staged.map((part) => part.token);
}

/** The mapped rows that count: those that query made while it read, and those of transform. None where transform is disabled. */
export function mappingTokens(staged: readonly Staged[], mappingToken: string | null): readonly string[] {
  return mappingToken === null ? [] : [...stagedTokens(staged), mappingToken];
}

/**
 * What pages gave as it is stored, as a query: the id of each object, and its number in the read order. Staging has one row a page of them; each
 * object counts as an item, each link in it as a link.
 */
export const seen = (run: string, tokens: string) => `
  select unnest(p.object_ids) as id, unnest(p.seqs) as seq from tidemark.staged_seen p where p.run_id = ${run} and p.token = any(${tokens})`;

/**
 * Fails with `StagingLost` unless exactly the rows are there that were staged. This is the count that a listing's proof rests on: it is made
 * once, when all has been read and before anything absent is believed.
 */
export async function countStaged(client: pg.ClientBase | pg.Pool, plan: RunPlan, staged: readonly Staged[]): Promise<void> {
  await verifyStaged(client, plan, staged);
  const { rows } = await client.query<{ items: string; links: string }>(
    `select (select count(*) from tidemark.staged_item where run_id = $1 and token = any($2)) + listed.items as items,
            (select count(*) from tidemark.staged_link where run_id = $1 and token = any($2)) + listed.links as links
       from (select coalesce(sum(cardinality(object_ids)), 0) as items, coalesce(sum(cardinality(link_targets)), 0) as links
               from tidemark.staged_seen where run_id = $1 and token = any($2)) listed`,
    [plan.claim.runId, stagedTokens(staged)],
  );
  const items = staged.reduce((sum, part) => sum + part.items, 0);
  const links = staged.reduce((sum, part) => sum + part.links, 0);
  if (Number(rows[0]?.items) !== items || Number(rows[0]?.links) !== links) {
    throw stagingLost(plan, `${items} items and ${links} links were staged, ${rows[0]?.items} and ${rows[0]?.links} are there`);
  }
}

/**
 * Fails with `StagingLost` if anything that was staged has been lost: what is missing must never look like absence. A crash of PostgreSQL, and
 * nothing else that the fence does not stop, takes staged rows away: it empties every unlogged table, wholly. So what each attempt wrote before
 * it staged anything tells of all that came after it, by other steps too, at the cost of one look for each attempt.
 */
export async function verifyStaged(client: pg.ClientBase | pg.Pool, plan: RunPlan, staged: readonly Staged[]): Promise<void> {
  // One re-read stages of several streams.
  const tokens = [...new Set(stagedTokens(staged))];
  const { rows } = await client.query<{ attempts: string }>(
    `select count(*) as attempts from tidemark.staged_attempt where run_id = $1 and token = any($2)`,
    [plan.claim.runId, tokens],
  );
  if (Number(rows[0]?.attempts) !== tokens.length) {
    throw stagingLost(plan, `${tokens.length} attempts have staged, of ${rows[0]?.attempts} is everything there`);
  }
}

function stagingLost({ claim: { integration } }: RunPlan, what: string): TidemarkFailure {
  return new TidemarkFailure('StagingLost', `Integration ${integration}: ${what}; PostgreSQL was restarted or staging was emptied.`, {
    integration,
    remedy: 'Nothing to do: the run reads the source again.',
  });
}

/** From this many staged rows on a run is bulk work. */
const bulkRows = 5_000;

/** Rows that were staged, but for those of lists, which are few. */
function rowsOf(staged: readonly Staged[]): number {
  return staged.reduce((sum, { items, unchanged, links }) => sum + items - unchanged + links, 0) - createdWhileRead(staged);
}

function isBulk(staged: readonly Staged[]): boolean {
  return rowsOf(staged) > bulkRows;
}

/** Fresh statistics of what lookup wrote. */
export async function analyzeVerdicts(pool: pg.Pool, verdicts: number): Promise<void> {
  if (verdicts > bulkRows) await analyze(pool, 'staged_mapping', 'staged_verdict');
}

/** Fresh statistics after much was staged; without them the planner takes the tables for empty. */
export async function analyzeStaging(pool: pg.Pool, staged: readonly Staged[]): Promise<void> {
  if (isBulk(staged)) await analyze(pool, 'staged_item', 'staged_link');
}

/** Fresh statistics of a table that this run has made grow: a first sync would else be planned as if it were empty. */
export async function analyzeGrown(pool: pg.Pool, table: 'object' | 'link', rowsWritten: number): Promise<void> {
  if (rowsWritten > bulkRows) await analyze(pool, table);
}

/** A sample of 3,000 rows tells sizes and spread well enough for these plans, in a tenth of the time of the usual one. */
async function analyze(pool: pg.Pool, ...tables: readonly string[]): Promise<void> {
  await inTransaction(pool, 'tidemark/analyze', async (client) => {
    await client.query('set local default_statistics_target = 10');
    await client.query(`analyze ${tables.map((table) => `tidemark.${table}`).join(', ')}`);
  });
}

/**
 * Notes attempts that were started together, see `verifyStaged`, and removes what earlier attempts of the same steps staged: they have noted
 * themselves too, so mostly there is nothing to look for.
 */
export async function beginStaging(
  pool: pg.Pool,
  attempts: readonly [StepAttempt, ...StepAttempt[]],
  tables: readonly StagingTable[],
): Promise<void> {
  const [first] = attempts;
  const { runId } = first.claim;
  const tokens = attempts.map(({ token }) => token);
  const steps = attempts.map(({ step }) => `${runId}/${step}/`);
  const earlier = `run_id = $1 and token <> all($2) and exists (select 1 from unnest($3::text[]) s(prefix) where starts_with(token, s.prefix))`;
  await fenced(pool, first, 'shared', async (client) => {
    const { rows } = await client.query<{ earlier: string }>(
      `with superseded as (delete from tidemark.staged_attempt where ${earlier} returning 1),
            noted as (insert into tidemark.staged_attempt (run_id, token) select $1, unnest($2::text[]))
       select count(*) as earlier from superseded`,
      [runId, tokens, steps],
    );
    if (rows[0]?.earlier === '0') return;
    for (const table of tables) await client.query(`delete from tidemark.${table} where ${earlier}`, [runId, tokens, steps]);
  });
}

/** Removes everything that runs staged. */
export async function dropStaging(client: pg.ClientBase, runIds: readonly string[]): Promise<void> {
  const removed = stagingTables.map((table) => `of_${table} as (delete from tidemark.${table} where run_id = any($1::bigint[]))`);
  await client.query(`with ${removed.join(', ')} select`, [runIds]);
}

/**
 * Removes everything that a run staged. Where that is much and no other run is staging, the tables are emptied at a stroke: their rows would
 * cost as much again to delete and to vacuum. Waits for nobody; locks are held to the end of the transaction, so this belongs to its end.
 */
export async function clearStaging(client: pg.ClientBase, runId: string, staged: readonly Staged[]): Promise<void> {
  if (rowsOf(staged) < emptiedAtOnce || !(await emptyStaging(client, runId))) {
    await dropStaging(client, [runId]);
  }
}

/** New files for the tables and their indexes cost as much as deleting some ten thousand rows. */
const emptiedAtOnce = 50_000;

const lockNotAvailable = '55P03';

/** Empties the staging tables if they hold rows of this run alone and nobody else uses them; tells whether it did. */
async function emptyStaging(client: pg.ClientBase, runId: string): Promise<boolean> {
  await client.query('savepoint emptying');
  try {
    const names = stagingTables.map((table) => `tidemark.${table}`).join(', ');
    await client.query(`lock table ${names} in access exclusive mode nowait`);
    const { rows } = await client.query<{ shared: boolean }>(
      `select ${stagingTables.map((table) => `exists (select from tidemark.${table} where run_id < $1) or exists (select from tidemark.${table} where run_id > $1)`).join(' or ')} as shared`,
      [runId],
    );
    if (rows[0]?.shared === false) {
      await client.query(`truncate ${names}`);
      return true;
    }
  } catch (error) {
    if ((error as { code?: string }).code !== lockNotAvailable) throw error;
  }
  await client.query('rollback to savepoint emptying');
  return false;
}

/**
 * Removes staged rows of runs that are not open, `batchSize` at a time; yields how many went with each. The run's row is locked meanwhile:
 * a run that begins again has to wait, and what it then stages is its own.
 */
export async function* dropLeftovers(pool: pg.Pool, batchSize: number): AsyncGenerator<number> {
  for (const table of stagingTables) {
    for (const runId of await stagedRuns(pool, table)) {
      for (let removed = batchSize; removed >= batchSize; ) {
        removed = await inTransaction(pool, 'maintain/staging', async (client) => {
          const { rows } = await client.query<{ outcome: string }>(
            `select outcome from tidemark.sync_run where id = $1 for no key update`,
            [runId],
          );
          if (rows[0]?.outcome === 'running') return 0;
          const { rowCount } = await client.query(
            `delete from tidemark.${table} s
              where s.ctid = any(array(select t.ctid from tidemark.${table} t where t.run_id = $1 limit $2))`,
            [runId, batchSize],
          );
          return rowCount ?? 0;
        });
        if (removed > 0) yield removed;
      }
    }
  }
}

/** The runs that have rows in a staging table: one step on its index for each. */
async function stagedRuns(pool: pg.Pool, table: StagingTable): Promise<readonly string[]> {
  const { rows } = await pool.query<{ run_id: string }>(
    `with recursive staged(run_id) as (
       (select s.run_id from tidemark.${table} s order by s.run_id limit 1)
       union all
       select (select s.run_id from tidemark.${table} s where s.run_id > t.run_id order by s.run_id limit 1) from staged t where t.run_id is not null
     ) select run_id from staged where run_id is not null`,
  );
  return rows.map((row) => row.run_id);
}
