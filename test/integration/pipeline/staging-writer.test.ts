import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RecordItem } from '../../../model/item.ts';
import type { StreamPlan } from '../../../model/run.ts';
import { startAttempt } from '../../../store/fence.ts';
import { beginStaging } from '../../../store/sql/staging.ts';
import { type StagingWriter, stagingWriter } from '../../../store/staging-writer.ts';
import { addIntegration, beginRun, type FeedDatabase, openFeedDatabase } from '../feed/support.ts';

let database: FeedDatabase;
beforeAll(async () => {
  database = await openFeedDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

/** A writer of a run that has begun, and what it has staged: numbers from 0 on. */
async function writing(integration: string): Promise<{ writer: StagingWriter; staged: () => Promise<readonly string[]> }> {
  const { pool } = database.store;
  await addIntegration(pool, integration);
  const claim = await beginRun(pool, integration);
  const attempt = await startAttempt(pool, claim, 'query/users', async () => true);
  await beginStaging(pool, [attempt], ['staged_item', 'staged_link', 'staged_mapping']);
  const plan = { stream: 'users', mappingVersion: 'm' } as StreamPlan;
  const writer = stagingWriter({ pool, attempt, plan, firstSeq: 0, volatile: new Set(), reading: 'r' });
  const staged = async () => {
    const { rows } = await pool.query<{ row: string }>(
      `select seq || ' ' || kind || ' ' || source_id as row from tidemark.staged_item where run_id = $1 order by seq`,
      [claim.runId],
    );
    return rows.map(({ row }) => row);
  };
  return { writer, staged };
}

const record = (id: string): RecordItem => ({
  kind: 'record',
  id,
  record: `${id} as it is written`,
  linked: false,
  object: () => ({ kind: 'object', id, attributes: { cn: id } }),
});

it('news of records that have just come is news of known objects, though nobody has asked yet what is stored of them', async () => {
  const { writer, staged } = await writing('waits');
  await writer.write([record('new-1'), record('new-2')]);
  await writer.write([
    { kind: 'gone', id: 'new-1', reason: 'it says so' },
    { kind: 'gone', id: 'stranger', reason: 'it says so' },
    { kind: 'gone', id: 'new-2', reason: 'it says so' },
  ]);
  const totals = await writer.finish({ sealed: false, exact: false, compared: false });
  expect(await staged()).toEqual(['0 object new-1', '1 object new-2', '2 gone new-1', '4 gone new-2']);
  expect(totals).toMatchObject({ items: 4, news: 4, unchanged: 0 });
});
