import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inTransaction } from '../../store/fence.ts';
import { openStore, type Store } from '../../store/store.ts';
import { brokenFence, installWitness } from '../support/chaos-witness.ts';
import { createDatabase } from '../support/postgres.ts';

/** A sleeper that wakes up is stopped by more than the fence, so that no fault makes one write: here writers do what they must never do. */
describe('the witness of the fault tests', () => {
  const undo = new AsyncDisposableStack();
  let store: Store;
  beforeAll(async () => {
    const database = undo.use(await createDatabase());
    store = undo.use(await openStore(database.url));
    await store.migrate();
    await installWitness(store.pool);
  });
  afterAll(() => undo.disposeAsync());

  async function twoRuns(integration: string): Promise<readonly [string, string]> {
    const { rows } = await store.pool.query<{ id: string }>(
      `insert into tidemark.sync_run (integration_id, workflow_id, temporal_run_id, requested_mode, outcome, requested_at, finished_at)
       select $1, 'sync', gen_random_uuid()::text, 'delta', 'failed', now(), now() from generate_series(1, 2) returning id`,
      [integration],
    );
    return [rows[0]?.id as string, rows[1]?.id as string];
  }

  async function write(token: string): Promise<void> {
    const [run] = token.split('/');
    await inTransaction(store.pool, token, (client) =>
      client.query(`insert into tidemark.staged_mapping (run_id, token, seq, kind) values ($1, $2, 1, 'mapped')`, [run, token]),
    );
  }

  it('finds nothing where runs and attempts follow each other', async () => {
    const [first, second] = await twoRuns('in-order');
    for (const token of [`${first}/query/users/a`, `${first}/query/groups/b`, `${first}/query/users/c`, `${second}/query/users/d`])
      await write(token);
    expect(await brokenFence(store.pool)).toEqual([]);
  });

  it('names a run that writes after a younger one, though it is seen for the first time', async () => {
    const [first, second] = await twoRuns('late-run');
    await write(`${second}/query/users/a`);
    await write(`${first}/query/users/b`);
    expect(await brokenFence(store.pool)).toEqual([
      expect.stringMatching(`^${first}/query/users/b wrote staged_mapping .* after run ${second}`),
    ]);
  });

  it('names an attempt that writes after the next one', async () => {
    const [, run] = await twoRuns('late-attempt');
    for (const attempt of ['a', 'b', 'a']) await write(`${run}/upsert/${attempt}`);
    expect(await brokenFence(store.pool)).toContainEqual(expect.stringMatching(`^${run}/upsert/a wrote .* after the next attempt`));
  });

  it('names a writer of stored rows without a token', async () => {
    const [run] = await twoRuns('without-token');
    await inTransaction(store.pool, 'by hand', (client) =>
      client.query(`insert into tidemark.change (run_id, object_id, kind) values ($1, 1, 'updated')`, [run]),
    );
    expect(await brokenFence(store.pool)).toContainEqual(expect.stringMatching('^by hand wrote change .* without a token'));
  });
});
