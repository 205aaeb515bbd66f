import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DecisionMode } from '../../../model/run.ts';
import { readMarkers } from '../../../store/markers.ts';
import { readDecided } from '../../../store/sql/decide-held.ts';
import { type HeldPlan, showPlans } from '../../../store/sql/held-plans.ts';
import { loseStaging } from '../../support/lose-staging.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { type Ending, eventually, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

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

const tight = '{ cleanup: { limits: { count: 2, percent: 100, floor: 1 } }, membership: { limits: { count: 2, percent: 100, floor: 1 } } }';

/** The one open plan of an integration. */
async function planOf(id: string): Promise<HeldPlan> {
  const plans = await showPlans(tidemark.store.pool, id);
  expect(plans).toHaveLength(1);
  return plans[0] as HeldPlan;
}

const decide = (mode: DecisionMode, integration: string, digest: string) =>
  tidemark.sync({ integration, mode, decision: { digest, by: 'alice', why: 'ticket 4711' } });

/** What became of each row, by object, or by group and member. */
async function outcomesOf({ run }: Ending): Promise<Readonly<Record<string, string | null>>> {
  const rows = await readDecided(tidemark.store.pool, run?.id ?? '0');
  return Object.fromEntries(rows.map(({ sourceId, link, outcome }) => [link === null ? sourceId : `${sourceId} ${link.target}`, outcome]));
}

async function membersOf(id: string): Promise<readonly string[]> {
  return (await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'g1')?.links.member ?? [];
}

const positionsOf = async (id: string) =>
  [...(await readMarkers(tidemark.store, id))].map(([stream, { marker }]) => [stream, marker.position]);

/** Six users, of whom three have gone: more than the limit of two. */
async function withHeldUsers(name: string): Promise<{ id: string; source: ScriptedSource; plan: HeldPlan }> {
  const { id, source } = await integrate(name, 6, tight);
  for (const gone of ['u4', 'u5', 'u6']) source.remove(gone);
  expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.streams.users).toMatchObject({ deleted: 0, held: 3 });
  return { id, source, plan: await planOf(id) };
}

/** A group of six, of whom three have gone. */
async function withHeldMembers(name: string): Promise<{ id: string; source: ScriptedSource; plan: HeldPlan }> {
  const { id, source } = await integrate(name, 6, tight);
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3'] });
  expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.links).toMatchObject({ removed: 0, held: 3 });
  return { id, source, plan: await planOf(id) };
}

describe('a held plan', () => {
  it('says what it would remove, since when, and which limit it exceeds', async () => {
    const { id, plan } = await withHeldUsers('plan');
    expect(plan).toEqual({
      digest: expect.stringMatching(/^[0-9a-f]{16}$/),
      integration: id,
      stream: 'users',
      what: 'objects',
      rows: 3,
      since: expect.stringMatching(/Z$/),
      firstRun: plan.lastRun,
      lastRun: plan.firstRun,
      limits: ['3 removals exceed the limit of 2'],
      reasons: { gone: 3 },
    });
  });

  it('keeps its digest while the same is held again, in deltas and complete syncs', async () => {
    const { id, plan } = await withHeldUsers('stable');
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect((await planOf(id)).digest).toBe(plan.digest);
    await tidemark.sync({ integration: id, mode: 'complete' });
    expect(await planOf(id)).toMatchObject({ digest: plan.digest, firstRun: plan.firstRun });
  });

  it('has another digest when an object has come back, and another when one more goes', async () => {
    const { id, source, plan } = await withHeldUsers('digest');
    source.put('users', 'u4', person(4), { manager: [] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    const fewer = await planOf(id);
    for (const gone of ['u1', 'u2', 'u3']) source.remove(gone);
    await tidemark.sync({ integration: id, mode: 'delta' });
    const more = await planOf(id);
    expect([fewer.rows, more.rows]).toEqual([2, 5]);
    expect(new Set([plan.digest, fewer.digest, more.digest]).size).toBe(3);
  });
});

describe('an approval', () => {
  it('removes exactly what the plan holds, moves no marker, and is recorded with who, why and what became of each row', async () => {
    const { id, source, plan } = await withHeldUsers('approve');
    const before = await positionsOf(id);
    // A change that the approval must leave to the next delta.
    source.put('users', 'u1', { uid: 'user1', cn: 'Renamed' }, { manager: [] });
    const ending = await decide('approve', id, plan.digest);
    expect(ending).toMatchObject({
      outcome: 'succeeded',
      run: {
        requestedMode: 'approve',
        mode: null,
        reason: expect.stringContaining(`plan ${plan.digest} of stream users was approved: 3 of its 3`),
        decision: { digest: plan.digest, by: 'alice', why: 'ticket 4711', rows: { applied: 3, withdrawn: 0, kept: 0, declined: 0 } },
        streams: { users: { mode: null, deleted: 3, held: 0 } },
        links: { removed: 3, held: 0 },
      },
    });
    expect(await outcomesOf(ending)).toEqual({ u4: 'applied', u5: 'applied', u6: 'applied' });
    expect(await usersOf(id)).toEqual(['u1', 'u2', 'u3']);
    expect(await positionsOf(id)).toEqual(before);
    expect(await showPlans(tidemark.store.pool, id)).toEqual([]);
    const { rows } = await tidemark.store.pool.query(
      `select o.source_id from tidemark.change c join tidemark.object o on o.id = c.object_id where c.run_id = $1 and c.kind = 'deleted' order by 1`,
      [ending.run?.id],
    );
    expect(rows.map((row) => row.source_id)).toEqual(['u4', 'u5', 'u6']);
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.streams.users).toMatchObject({ updated: 1 });
    const { rows: parked } = await tidemark.store.pool.query(
      `select target from tidemark.unresolved_link where integration_id = $1 order by 1`,
      [id],
    );
    expect(parked.map((row) => row.target)).toEqual(['u4', 'u5', 'u6']);
  });

  it('does not remove an object that has come back: its row is withdrawn, and it is stored as it is now', async () => {
    const { id, source, plan } = await withHeldUsers('came-back');
    source.put('users', 'u5', { ...person(5), cn: 'Back again' }, { manager: [] });
    const ending = await decide('approve', id, plan.digest);
    expect(await outcomesOf(ending)).toEqual({ u4: 'applied', u5: 'withdrawn', u6: 'applied' });
    expect(ending.run?.decision?.rows).toEqual({ applied: 2, withdrawn: 1, kept: 0, declined: 0 });
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'u5')?.attributes).toMatchObject({
      displayName: 'Back again',
    });
    await tidemark.sync({ integration: id, mode: 'complete' });
    expect(await usersOf(id)).toEqual(['u1', 'u2', 'u3', 'u5']);
    expect(await membersOf(id)).toEqual(['u1', 'u2', 'u3', 'u5']);
  });

  it('of what was shown does not remove what was held since', async () => {
    const { id, source, plan } = await withHeldUsers('more-since');
    for (const gone of ['u1', 'u2', 'u3']) source.remove(gone);
    await tidemark.sync({ integration: id, mode: 'delta' });
    const ending = await decide('approve', id, plan.digest);
    expect(await outcomesOf(ending)).toEqual({ u4: 'applied', u5: 'applied', u6: 'applied' });
    expect(await usersOf(id)).toEqual(['u1', 'u2', 'u3']);
    const left = await planOf(id);
    expect(left.rows).toBe(3);
    await decide('approve', id, left.digest);
    expect(await usersOf(id)).toEqual([]);
  });

  it('of a plan of which nothing is held any more, or that was never shown, fails and says how to look again', async () => {
    const { id, plan } = await withHeldUsers('twice');
    await decide('approve', id, plan.digest);
    for (const digest of [plan.digest, '0123456789abcdef']) {
      expect(await decide('approve', id, digest)).toMatchObject({
        outcome: 'failed',
        failure: { type: 'PlanChanged', message: expect.stringContaining(`tidemark deletions list ${id}`) },
        run: { decision: { digest, by: 'alice', rows: { applied: 0 } } },
      });
    }
  });

  it('does not count towards the limits of a day', async () => {
    const { id, source, plan } = await withHeldUsers('not-counted');
    await decide('approve', id, plan.digest);
    source.remove('u2');
    source.remove('u3');
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).run?.streams.users).toMatchObject({ deleted: 2, held: 0 });
  });

  it('removes what the source gives no answer about, if the account has its rights, and fails without touching anything if not', async () => {
    const { id, source } = await integrate('silence', 6, tight);
    for (const gone of ['u5', 'u6']) source.entries.delete(gone);
    await tidemark.sync({ integration: id, mode: 'complete' });
    const plan = await planOf(id);
    expect(plan.reasons).toEqual({ unknown: 2 });
    // The rights go while the approval reads.
    source.beforeReadByIds = () => {
      source.hasRights = false;
      return undefined;
    };
    const refused = await decide('approve', id, plan.digest);
    expect(refused).toMatchObject({ outcome: 'failed', failure: { type: 'RightsMissing' }, run: { decision: { rows: { kept: 2 } } } });
    expect(await usersOf(id)).toHaveLength(6);
    source.beforeReadByIds = () => undefined;
    source.hasRights = true;
    expect(await outcomesOf(await decide('approve', id, plan.digest))).toEqual({ u5: 'applied', u6: 'applied' });
    const { rows } = await tidemark.store.pool.query(
      `select distinct deleted_reason from tidemark.object where integration_id = $1 and deleted_at is not null`,
      [id],
    );
    expect(rows).toEqual([{ deleted_reason: 'absent' }]);
  });

  it('of memberships removes exactly those, and holds what the group has lost since', async () => {
    const { id, source, plan } = await withHeldMembers('members');
    expect(plan).toMatchObject({ stream: 'groups', what: 'members', rows: 3 });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u4'] });
    const ending = await decide('approve', id, plan.digest);
    expect(await outcomesOf(ending)).toEqual({ 'g1 u4': 'withdrawn', 'g1 u5': 'applied', 'g1 u6': 'applied' });
    expect(ending.run).toMatchObject({ links: { removed: 2, held: 1 } });
    expect(await membersOf(id)).toEqual(['u1', 'u2', 'u3', 'u4']);
    expect(await planOf(id)).toMatchObject({ rows: 1, limits: ['it is not part of the plan that was approved'] });
    await tidemark.sync({ integration: id, mode: 'complete' });
    expect(await membersOf(id)).toEqual(['u1', 'u2', 'u4']);
  });

  it('of memberships keeps what is held of a group that cannot be read', async () => {
    const { id, source, plan } = await withHeldMembers('no-group');
    source.entries.delete('g1');
    const ending = await decide('approve', id, plan.digest);
    expect(ending.run?.decision?.rows).toEqual({ applied: 0, withdrawn: 0, kept: 3, declined: 0 });
    expect(await membersOf(id)).toHaveLength(6);
    expect((await planOf(id)).digest).toBe(plan.digest);
  });

  it('deactivates where that is configured', async () => {
    const { id, plan } = await withHeldUsers('deactivating');
    await tidemark.apply(
      `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} }, steps: { cleanup: { action: deactivate } } } }`,
    );
    const ending = await decide('approve', id, plan.digest);
    expect(ending.run).toMatchObject({ streams: { users: { deleted: 0, deactivated: 3 } }, decision: { rows: { applied: 3 } } });
  });

  it('waits for the run that is under way, and runs after it', async () => {
    const { id, source, plan } = await withHeldUsers('waits');
    const gate = source.stall();
    const running = await tidemark.launch({ integration: id, mode: 'delta' });
    await gate.reached;
    const launcher = await tidemark.launch({ integration: id, mode: 'approve', decision: { digest: plan.digest, by: 'alice', why: '' } });
    await eventually('waiting', async () => {
      const { raw } = await tidemark.temporal.client.workflow.getHandle(launcher).describe();
      return raw.pendingActivities?.some((activity) => activity.activityType?.name === 'awaitClose');
    });
    expect(await usersOf(id)).toHaveLength(6);
    gate.open();
    const [delta, approval] = [await tidemark.ending(running), await tidemark.ending(launcher)];
    expect(approval).toMatchObject({ outcome: 'succeeded', run: { decision: { rows: { applied: 3 } } } });
    expect(Number(approval.run?.id)).toBeGreaterThan(Number(delta.run?.id));
  });

  it('that is cancelled while it reads leaves everything held, says so, and can be made again', async () => {
    const { id, source, plan } = await withHeldUsers('cancelled');
    const reading = Promise.withResolvers<void>();
    source.beforeReadByIds = (_, signal) => {
      reading.resolve();
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    };
    const launcher = await tidemark.launch({ integration: id, mode: 'approve', decision: { digest: plan.digest, by: 'alice', why: '' } });
    await reading.promise;
    await tidemark.temporal.client.workflow.getHandle(launcher).cancel();
    expect((await tidemark.ending(launcher)).outcome).toBe('cancelled');
    const { rows } = await tidemark.store.pool.query(
      `select outcome, decision -> 'rows' ->> 'kept' as kept from tidemark.sync_run where launcher_id = $1`,
      [launcher],
    );
    expect(rows).toEqual([{ outcome: 'cancelled', kept: '3' }]);
    source.beforeReadByIds = () => undefined;
    expect((await planOf(id)).digest).toBe(plan.digest);
    expect((await decide('approve', id, plan.digest)).run?.decision?.rows).toMatchObject({ applied: 3 });
  });

  it('whose staging is lost begins again and removes each object once', async () => {
    const { id, source, plan } = await withHeldUsers('lost');
    let checks = 0;
    // The second check is the one at the end of the reading: what was staged is lost behind it.
    source.onCheck = () => (++checks === 2 ? loseStaging(tidemark.store.pool) : undefined);
    const ending = await decide('approve', id, plan.digest);
    expect(checks).toBe(4);
    expect(ending.run).toMatchObject({
      outcome: 'succeeded',
      decision: { rows: { applied: 3, withdrawn: 0 } },
      streams: { users: { deleted: 3 } },
    });
  });
});

describe('a refusal', () => {
  it('drops the plan without asking the source, is recorded, and the next complete sync judges anew', async () => {
    const { id, source, plan } = await withHeldUsers('decline');
    source.hasRights = false;
    const ending = await decide('decline', id, plan.digest);
    expect(ending).toMatchObject({
      outcome: 'succeeded',
      run: {
        requestedMode: 'decline',
        decision: { digest: plan.digest, by: 'alice', why: 'ticket 4711', rows: { applied: 0, withdrawn: 0, kept: 0, declined: 3 } },
      },
    });
    expect(await outcomesOf(ending)).toEqual({ u4: 'declined', u5: 'declined', u6: 'declined' });
    expect(await showPlans(tidemark.store.pool, id)).toEqual([]);
    expect(await usersOf(id)).toHaveLength(6);
    source.hasRights = true;
    await tidemark.sync({ integration: id, mode: 'complete' });
    const anew = await planOf(id);
    expect(anew).toMatchObject({ rows: 3, firstRun: anew.lastRun });
    expect(anew.digest).not.toBe(plan.digest);
    expect(await decide('approve', id, plan.digest)).toMatchObject({ failure: { type: 'PlanChanged' } });
  });

  it('of memberships drops them, and the next complete sync judges anew', async () => {
    const { id, plan } = await withHeldMembers('decline-members');
    expect(await outcomesOf(await decide('decline', id, plan.digest))).toEqual({
      'g1 u4': 'declined',
      'g1 u5': 'declined',
      'g1 u6': 'declined',
    });
    expect(await showPlans(tidemark.store.pool, id)).toEqual([]);
    expect(await membersOf(id)).toHaveLength(6);
    await tidemark.sync({ integration: id, mode: 'complete' });
    expect(await planOf(id)).toMatchObject({ what: 'members', rows: 3 });
  });
});
