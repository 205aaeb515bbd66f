import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
});
afterAll(async () => {
  for (const source of sources.values()) source.stall().open();
  await tidemark[Symbol.asyncDispose]();
});

/** A source of this many users, all in one group, read completely; `steps` is YAML in flow style. */
async function integrate(name: string, users: number, steps: string): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  await tidemark.apply(
    `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} }, steps: ${steps} } }`,
  );
  for (let n = 1; n <= users; n++) source.put('users', `u${n}`, person(n), { manager: [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: numbered(1, users) });
  expect(await tidemark.sync({ integration: id, mode: 'complete' })).toMatchObject({ outcome: 'succeeded' });
  return { id, source };
}

const person = (n: number) => ({ uid: `user${n}`, cn: `User ${n}` });
const numbered = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => `u${from + n}`);

async function usersOf(id: string): Promise<readonly string[]> {
  return (await objectsOf(tidemark.store, id)).filter(({ stream }) => stream === 'users').map(({ sourceId }) => sourceId);
}

/** Makes everything that this integration's runs have done look a day old. */
async function aDayPasses(id: string): Promise<void> {
  const { pool } = tidemark.store;
  await pool.query(`update tidemark.sync_run set finished_at = finished_at - interval '1 day' where integration_id = $1`, [id]);
  await pool.query(
    `update tidemark.change set at = at - interval '1 day' where run_id in (select id from tidemark.sync_run where integration_id = $1)`,
    [id],
  );
}

describe('limits over a day', () => {
  it('hold what small deltas come to: each is within the limit, their sum is not', async () => {
    const { id, source } = await integrate('day', 30, '{ cleanup: { limits: { count: 5, percent: 100, floor: 0 } } }');
    const deleted: number[] = [];
    const held: number[] = [];
    for (let n = 1; n <= 10; n++) {
      source.remove(`u${n}`);
      const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
      deleted.push(run?.streams.users?.deleted ?? -1);
      held.push(run?.streams.users?.held ?? -1);
    }
    expect(deleted).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
    expect(held).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    const { rows } = await tidemark.store.pool.query(
      `select limit_exceeded from tidemark.held_deletion where integration_id = $1 order by id limit 1`,
      [id],
    );
    expect(rows).toEqual([{ limit_exceeded: '1 removals, with 5 of the last 24 hours, exceed the limit of 5' }]);
    await aDayPasses(id);
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ deleted: 5, held: 0 });
  });

  it('do not count memberships that went with their member, and do count those that were removed', async () => {
    const steps =
      '{ cleanup: { limits: { count: 100, percent: 100, floor: 0 } }, membership: { limits: { count: 3, percent: 100, floor: 0 } } }';
    const { id, source } = await integrate('cascades', 20, steps);
    for (const gone of numbered(11, 20)) source.remove(gone);
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.links).toMatchObject({ removed: 10 });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: numbered(3, 10) });
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.links).toMatchObject({ removed: 2, held: 0 });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: numbered(5, 10) });
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.links).toMatchObject({ removed: 0, held: 2 });
  });

  it('belong to the integration and the stream', async () => {
    const steps = '{ cleanup: { limits: { count: 1, percent: 100, floor: 0 } } }';
    const one = await integrate('one-of-two', 5, steps);
    const other = await integrate('other-of-two', 5, steps);
    one.source.remove('u1');
    await tidemark.sync({ integration: one.id, mode: 'delta' });
    one.source.remove('g1');
    other.source.remove('u1');
    expect((await tidemark.sync({ integration: one.id, mode: 'delta' })).run?.streams.groups).toMatchObject({ deleted: 1, held: 0 });
    expect((await tidemark.sync({ integration: other.id, mode: 'delta' })).run?.streams.users).toMatchObject({ deleted: 1, held: 0 });
    expect(await usersOf(one.id)).toEqual(['u2', 'u3', 'u4', 'u5']);
  });
});
