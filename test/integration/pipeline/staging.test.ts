import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Claim, RunPlan, Staged } from '../../../model/run.ts';
import { inTransaction, startAttempt } from '../../../store/fence.ts';
import { beginStaging, clearStaging, countStaged, verifyStaged } from '../../../store/sql/staging.ts';
import { loseStaging } from '../../support/lose-staging.ts';
import { addIntegration, beginRun, type FeedDatabase, openFeedDatabase } from '../feed/support.ts';

let database: FeedDatabase;
beforeAll(async () => {
  database = await openFeedDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

/** A run that has staged `items` rows; it says that they were `told`. */
async function staging(integration: string, items: number, told = items): Promise<{ plan: RunPlan; staged: readonly Staged[] }> {
  const { pool } = database.store;
  await addIntegration(pool, integration);
  const claim: Claim = await beginRun(pool, integration);
  const attempt = await startAttempt(pool, claim, 'query/users', async () => true);
  await beginStaging(pool, [attempt], ['staged_item']);
  const part = { stream: 'users', token: attempt.token, items: told, links: 0, news: told, read: told, unchanged: 0, created: 0 };
  const run = { plan: { claim } as RunPlan, staged: [{ ...part, sealed: true, compared: false, mapped: false }] };
  await stage(run, items);
  return run;
}

async function stage({ plan, staged }: Awaited<ReturnType<typeof staging>>, items: number): Promise<void> {
  await database.store.pool.query(
    `insert into tidemark.staged_item (run_id, token, seq, stream, kind, source_id) select $1, $2, n, 'users', 'object', n from generate_series(1, $3::int) n`,
    [plan.claim.runId, staged[0]?.token, items],
  );
}

const stagedRows = async (): Promise<readonly { run_id: string; items: number }[]> =>
  (await database.store.pool.query(`select run_id, count(*)::int as items from tidemark.staged_item group by run_id order by run_id`)).rows;

const fileOf = async (): Promise<unknown> =>
  (await database.store.pool.query(`select pg_relation_filepath('tidemark.staged_item') as path`)).rows[0]?.path;

const lost = { type: 'StagingLost' };

describe('what was staged', () => {
  it('is lost with all that came before a crash, whatever its attempt stages after it', async () => {
    const { pool } = database.store;
    const run = await staging('crashed', 2);
    await verifyStaged(pool, run.plan, run.staged);
    await countStaged(pool, run.plan, run.staged);
    await loseStaging(pool);
    await stage(run, 2);
    await expect(verifyStaged(pool, run.plan, run.staged)).rejects.toMatchObject(lost);
  });

  it('is counted when all is read', async () => {
    const { pool } = database.store;
    const run = await staging('counted', 2, 4);
    await verifyStaged(pool, run.plan, run.staged);
    await expect(countStaged(pool, run.plan, run.staged)).rejects.toMatchObject(lost);
    await pool.query(
      `insert into tidemark.staged_seen (run_id, token, seq, stream, kind, object_ids, seqs) values ($1, $2, 3, 'users', 'present', '{7,8}', '{3,4}')`,
      [run.plan.claim.runId, run.staged[0]?.token],
    );
    await countStaged(pool, run.plan, run.staged);
  });

  it('goes at a stroke if it is much and nobody else stages', async () => {
    const { pool } = database.store;
    await loseStaging(pool);
    const run = await staging('alone', 3, 1_000_000);
    const before = await fileOf();
    await inTransaction(pool, 'test', (client) => clearStaging(client, run.plan.claim.runId, run.staged));
    expect(await stagedRows()).toEqual([]);
    expect(await fileOf()).not.toEqual(before);
  });

  it.each([
    { what: 'others have staged', told: 1_000_000, others: 2, used: false },
    { what: 'the tables are in use', told: 1_000_000, others: 0, used: true },
    { what: 'it is little', told: 3, others: 0, used: false },
  ])('goes row by row, and nothing else with it, if $what', async ({ what, told, others, used }) => {
    const { pool } = database.store;
    await loseStaging(pool);
    const other = others > 0 ? await staging(`before ${what}`, others) : undefined;
    const run = await staging(what, 3, told);
    const before = await fileOf();
    const user = await pool.connect();
    await user.query('begin');
    if (used) await user.query(`lock table tidemark.staged_verdict in row exclusive mode`);
    await inTransaction(pool, 'test', (client) => clearStaging(client, run.plan.claim.runId, run.staged));
    await user.query('rollback');
    user.release();
    expect(await stagedRows()).toEqual(other ? [{ run_id: other.plan.claim.runId, items: others }] : []);
    expect(await fileOf()).toEqual(before);
  });
});
