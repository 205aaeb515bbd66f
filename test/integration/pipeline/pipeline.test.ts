import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkFailure } from '../../../model/failure.ts';
import { syncWorkflowId } from '../../../model/workflow-ids.ts';
import { readMarkers, resetMarkers } from '../../../store/markers.ts';
import { readOverview } from '../../../store/read-overview.ts';
import { findDrift } from '../../../store/run-summary.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
});
afterAll(async () => {
  await tidemark[Symbol.asyncDispose]();
});

/** A new source with its integration; `steps` is YAML in flow style. */
async function integrate(
  name: string,
  steps = '{}',
  streams = '{ users: {}, groups: {} }',
): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  await configure(id, steps, streams);
  return { id, source };
}

function configure(id: string, steps: string, streams = '{ users: {}, groups: {} }'): Promise<void> {
  return tidemark.apply(
    `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: ${streams}, steps: ${steps} } }`,
  );
}

const person = (n: number, more: Record<string, string | boolean> = {}) => ({ uid: `user${n}`, cn: `User ${n}`, ...more });

function fill(source: ScriptedSource, users: number): void {
  for (let n = 1; n <= users; n++) source.put('users', `u${n}`, person(n), { manager: n > 1 ? ['u1'] : [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: Array.from({ length: users }, (_, n) => `u${n + 1}`) });
}

async function positions(id: string): Promise<Record<string, string>> {
  return Object.fromEntries([...(await readMarkers(tidemark.store, id))].map(([stream, { marker }]) => [stream, marker.position]));
}

async function stagedRows(): Promise<number> {
  const { rows } = await tidemark.store.pool.query(
    `select (select count(*) from tidemark.staged_item) + (select count(*) from tidemark.staged_link)
          + (select count(*) from tidemark.staged_mapping) + (select count(*) from tidemark.staged_verdict) as n`,
  );
  return Number(rows[0].n);
}

/** The numbers of attempts that the activities of the last run took. */
async function attemptsOf(id: string): Promise<ReadonlySet<number>> {
  const { events } = await tidemark.temporal.client.workflow.getHandle(`sync/${id}`).fetchHistory();
  const started = (events ?? []).flatMap((event) => event.activityTaskStartedEventAttributes ?? []);
  return new Set(started.map(({ attempt }) => attempt ?? 0));
}

async function changesOf(run: string): Promise<readonly string[]> {
  const { rows } = await tidemark.store.pool.query(
    `select c.kind || ' ' || o.source_id || coalesce(' ' || c.link || ' ' || t.source_id, '') as change
       from tidemark.change c join tidemark.object o on o.id = c.object_id left join tidemark.object t on t.id = c.target_id
      where c.run_id = $1 order by 1`,
    [run],
  );
  return rows.map((row) => row.change as string);
}

describe('a first sync', () => {
  it('reads everything, resolves links whatever the order, and leaves no staging behind', async () => {
    const { id, source } = await integrate('first');
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'unknown'] });
    source.put('users', 'u2', person(2), { manager: ['u1'] });
    source.put('users', 'u1', person(1), { manager: [] });
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'auto' });
    expect(outcome).toBe('succeeded');
    expect(run).toMatchObject({
      mode: 'complete',
      sealed: true,
      streams: { users: { read: 2, created: 2 }, groups: { created: 1 } },
      links: { added: 3, unresolved: 1 },
    });
    expect(await objectsOf(tidemark.store, id)).toEqual([
      { stream: 'groups', sourceId: 'g1', key: 'id=g1', attributes: { displayName: 'Group 1' }, links: { member: ['u1', 'u2'] } },
      { stream: 'users', sourceId: 'u1', key: 'id=u1', attributes: { userName: 'user1', displayName: 'User 1', active: true }, links: {} },
      {
        stream: 'users',
        sourceId: 'u2',
        key: 'id=u2',
        attributes: { userName: 'user2', displayName: 'User 2', active: true },
        links: { manager: ['u1'] },
      },
    ]);
    expect(await stagedRows()).toBe(0);
    expect(await positions(id)).toEqual({ users: '3', groups: '3' });
  });

  it.each([1, 2, 7])('gives the same in batches of %i as in one, each row written once', async (batchSize) => {
    const changedWith = async (name: string, size: number) => {
      const { id, source } = await integrate(name, `{ upsert: { batchSize: ${size} } }`);
      fill(source, 9);
      source.put('groups', 'g2', { cn: 'Group 2' }, { member: ['g1', 'u9', 'u3'] });
      const first = await tidemark.sync({ integration: id, mode: 'complete' });
      for (let n = 2; n <= 8; n++) source.put('users', `u${n}`, person(n, { department: 'Sales' }), { manager: ['u9'] });
      source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u9'] });
      source.put('groups', 'g2', { cn: 'Group 2' }, { member: ['g1'] });
      const second = await tidemark.sync({ integration: id, mode: 'delta' });
      const runs = [first, second].map(({ run }) => run?.id as string);
      return { id, objects: await objectsOf(tidemark.store, id), changes: await Promise.all(runs.map(changesOf)) };
    };
    const inOne = await changedWith(`one-batch-${batchSize}`, 5_000);
    const inMany = await changedWith(`batches-of-${batchSize}`, batchSize);
    expect(inMany.objects).toEqual(inOne.objects);
    expect(inMany.changes).toEqual(inOne.changes);
    expect(await attemptsOf(inMany.id)).toEqual(new Set([1]));
  });

  it('that breaks off keeps what it has created, without a marker; the next one compares all of it with the source', async () => {
    const { id, source } = await integrate('first-breaks-off');
    fill(source, 7);
    const locked = new TidemarkFailure('AuthenticationFailed', 'the account is locked', { remedy: 'Unlock it.' });
    source.afterPage = (pages) => (pages === 1 ? Promise.reject(locked) : undefined);
    expect(await tidemark.sync({ integration: id, mode: 'complete' })).toMatchObject({ outcome: 'failed' });
    expect(await positions(id)).toEqual({});
    expect((await objectsOf(tidemark.store, id)).map(({ sourceId }) => sourceId)).toEqual(expect.arrayContaining(['u1', 'u5']));
    source.afterPage = () => undefined;
    source.remove('u2');
    source.put('users', 'u3', person(3, { department: 'Sales' }), { manager: [] });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u3', 'u7'] });
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ created: 2, updated: 1, deleted: 1 });
    const stored = Object.fromEntries((await objectsOf(tidemark.store, id)).map((object) => [object.sourceId, object]));
    expect(Object.keys(stored).sort()).toEqual(['g1', 'u1', 'u3', 'u4', 'u5', 'u6', 'u7']);
    expect(stored.u3).toMatchObject({ attributes: { department: 'Sales' }, links: {} });
    expect(stored.u4).toMatchObject({ links: { manager: ['u1'] } });
    expect(stored.g1?.links).toEqual({ member: ['u1', 'u3', 'u7'] });
  });

  it('creates an object once that a listing gives again at once, or much later', async () => {
    const { id, source } = await integrate('first-twice');
    fill(source, 7);
    const extra = (name: string, manager: readonly string[] = []) =>
      ({ kind: 'object', id: name, attributes: { uid: name }, links: { manager } }) as const;
    // Pages of three, the last object of each is stored with the next page: c comes twice on one page, b on two that follow one another.
    source.extraItems.push(extra('a'), extra('b'), extra('b'), extra('c', ['u1']), extra('c', ['u2']));
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ created: 10 });
    expect(await attemptsOf(id)).toEqual(new Set([1]));
    // What was read last counts, from the first link on.
    expect((await changesOf(run?.id as string)).filter((change) => change.startsWith('link-added c'))).toEqual(['link-added c manager u2']);
    const later = await integrate('first-again-later');
    fill(later.source, 7);
    later.source.extraItems.push(extra('u7'));
    const { run: second } = await tidemark.sync({ integration: later.id, mode: 'complete' });
    expect(second?.streams.users).toMatchObject({ created: 7 });
    expect((await changesOf(second?.id as string)).filter((change) => change.startsWith('created u'))).toHaveLength(7);
    const stored = await objectsOf(tidemark.store, later.id);
    expect(stored.find(({ sourceId }) => sourceId === 'u7')).toMatchObject({
      attributes: { displayName: 'User 7' },
      links: { manager: ['u1'] },
    });
  });

  it('that has to read again creates each object once', async () => {
    const { id, source } = await integrate('first-reads-again');
    fill(source, 7);
    let cuts = 1;
    source.afterPage = (pages) =>
      pages === 1 && cuts-- > 0 ? Promise.reject(new TidemarkFailure('SourceUnavailable', 'the connection was cut')) : undefined;
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams).toMatchObject({ users: { created: 7 }, groups: { created: 1 } });
    const numbers = Array.from({ length: 7 }, (_, index) => index + 1);
    expect(await changesOf(run?.id as string)).toEqual([
      'created g1',
      ...numbers.map((n) => `created u${n}`),
      ...numbers.map((n) => `link-added g1 member u${n}`),
      ...numbers.slice(1).map((n) => `link-added u${n} manager u1`),
    ]);
  });
});

describe('a run', () => {
  it('leaves a history whose length does not depend on how much there is', async () => {
    const lengths: number[] = [];
    for (const people of [4, 400]) {
      const { id, source } = await integrate(`history-${people}`);
      fill(source, people);
      const launcher = await tidemark.launch({ integration: id, mode: 'complete' });
      expect((await tidemark.ending(launcher)).outcome).toBe('succeeded');
      const { events } = await tidemark.temporal.client.workflow.getHandle(syncWorkflowId(id)).fetchHistory();
      // Turns of the workflow are not counted: two activities that end at once may share one.
      const turns = events?.filter((event) => event.workflowTaskCompletedEventAttributes != null).length ?? 0;
      lengths.push((events?.length ?? 0) - 3 * turns);
    }
    expect(lengths[1]).toBe(lengths[0]);
  });
});

describe('a delta', () => {
  it('applies creates, updates, deletions, restores and link changes, with one change row each', async () => {
    const { id, source } = await integrate('delta');
    fill(source, 4);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u5', person(5), { manager: ['u2'] });
    source.put('users', 'u3', person(3, { department: 'Sales' }), { manager: ['u2'] });
    source.remove('u4');
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3', 'u5'] });
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run?.mode).toBe('delta');
    expect(await changesOf(run?.id as string)).toEqual([
      'created u5',
      'deleted u4',
      'link-added g1 member u5',
      'link-added u3 manager u2',
      'link-added u5 manager u2',
      'link-removed g1 member u4',
      'link-removed u3 manager u1',
      'link-removed u4 manager u1',
      'updated u3',
    ]);
    source.put('users', 'u4', person(4), { manager: [] });
    const { run: second } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await changesOf(second?.id as string)).toEqual(['restored u4']);
  });

  it('that finds nothing does no more than begin, query and commit', async () => {
    const { id, source } = await integrate('empty');
    fill(source, 2);
    await tidemark.sync({ integration: id, mode: 'complete' });
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(Object.keys(run?.steps ?? {}).sort()).toEqual(['begin', 'query']);
    expect(run?.links).toMatchObject({ added: 0, removed: 0 });
  });

  it('reads the changes of all its streams by one activity in one session; a stream that is read completely has both to itself', async () => {
    const { id, source } = await integrate('sessions');
    fill(source, 2);
    const sync = async (mode: 'complete' | 'delta') => {
      source.sessions = 0;
      await tidemark.sync({ integration: id, mode });
      const { events } = await tidemark.temporal.client.workflow.getHandle(syncWorkflowId(id)).fetchHistory();
      const names = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
      return { queries: names.filter((name) => name === 'query').length, sessions: source.sessions };
    };
    // One more session is begin's.
    expect(await sync('complete')).toEqual({ queries: 2, sessions: 3 });
    expect(await sync('delta')).toEqual({ queries: 1, sessions: 2 });
    await resetMarkers(tidemark.store, id, ['groups']);
    expect(await sync('delta')).toEqual({ queries: 2, sessions: 3 });
  });

  it('believes the last of several states of one object in one read', async () => {
    const { id, source } = await integrate('duplicates');
    source.put('users', 'u1', person(1), { manager: [] });
    const old = { kind: 'object', id: 'u1', key: 'id=u1', attributes: { uid: 'user1', cn: 'Old' }, links: { manager: [] } } as const;
    source.extraItems.push(old, old);
    await tidemark.sync({ integration: id, mode: 'complete' });
    expect((await objectsOf(tidemark.store, id))[0]?.attributes).toMatchObject({ displayName: 'User 1' });
    source.put('users', 'u1', person(1), { manager: [] });
    source.extraItems.push(old);
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run?.streams.users).toMatchObject({ updated: 0 });
    source.put('users', 'u1', person(1), { manager: [] });
    source.extraItems.push({ kind: 'gone', id: 'u1', reason: 'deleted' });
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await objectsOf(tidemark.store, id)).toHaveLength(1);
  });

  it('reads the groups of a returned object again instead of linking blindly', async () => {
    const { id, source } = await integrate('returned');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    // The source drops the membership without counting the group as changed, as Active Directory does.
    const group = source.entries.get('g1');
    if (group) source.entries.set('g1', { ...group, links: { member: ['u1', 'u2'] } });
    source.put('users', 'u3', person(3), { manager: ['u1'] });
    source.extraItems.push({ kind: 'gone', id: 'u3', reason: 'deleted' });
    await tidemark.sync({ integration: id, mode: 'delta' });
    const objects = await objectsOf(tidemark.store, id);
    expect(objects.find(({ sourceId }) => sourceId === 'g1')?.links).toEqual({ member: ['u1', 'u2'] });
    expect(objects.find(({ sourceId }) => sourceId === 'u3')?.links).toEqual({ manager: ['u1'] });
  });

  it('stores what PostgreSQL text refuses as base64', async () => {
    const { id, source } = await integrate('nul');
    source.put('users', 'u1', { uid: 'a\0b', cn: 'x\ud800y' }, {});
    source.put('users', 'u2', { uid: 'back\\slash\ttab\nline', cn: 'quote"' }, {});
    const { outcome } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(outcome).toBe('succeeded');
    const attributes = (await objectsOf(tidemark.store, id)).map((object) => object.attributes as Record<string, string>);
    expect(attributes[0]?.userName).toBe(Buffer.from('a\0b').toString('base64'));
    expect(attributes[1]).toMatchObject({ userName: 'back\\slash\ttab\nline', displayName: 'quote"' });
  });
});

describe('absence', () => {
  it('deletes what a sealed listing no longer gives and a re-read by id finds gone', async () => {
    const { id, source } = await integrate('absent');
    fill(source, 12);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u12');
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ deleted: 1, unchanged: 11 });
  });

  it('is not believed where the object answers when asked by id', async () => {
    const { id, source } = await integrate('present');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    // The listing misses u3, as when it moves while pages are read.
    const entry = source.entries.get('u3');
    if (entry) source.entries.set('u3', { ...entry, stream: 'elsewhere' });
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ deleted: 0, held: 0 });
    expect(await objectsOf(tidemark.store, id)).toHaveLength(4);
  });

  it('that the source can give no answer about is held', async () => {
    const { id, source } = await integrate('unknown');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.entries.delete('u3');
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ deleted: 0, held: 1 });
  });

  it('beyond a limit is held as a whole, and presence withdraws it', async () => {
    const { id, source } = await integrate('limits', '{ cleanup: { limits: { count: 2, percent: 100, floor: 1 } } }');
    fill(source, 6);
    await tidemark.sync({ integration: id, mode: 'complete' });
    for (const gone of ['u4', 'u5', 'u6']) source.remove(gone);
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run?.streams.users).toMatchObject({ deleted: 0, held: 3, marker: { after: '10' } });
    expect((await objectsOf(tidemark.store, id)).filter(({ stream }) => stream === 'users')).toHaveLength(6);
    source.put('users', 'u4', person(4), { manager: ['u1'] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    const { rows } = await tidemark.store.pool.query(
      `select o.source_id from tidemark.held_deletion h join tidemark.object o on o.id = h.object_id where h.integration_id = $1 order by 1`,
      [id],
    );
    expect(rows).toEqual([{ source_id: 'u5' }, { source_id: 'u6' }]);
    const { run: complete } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(complete?.streams.users).toMatchObject({ deleted: 2 });
  });

  it('of everything is held, always', async () => {
    const { id, source } = await integrate('everything', '{ cleanup: { limits: { count: 1000, percent: 100, floor: 1000 } } }');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    for (const entry of [...source.entries.keys()]) source.entries.delete(entry);
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(outcome).toBe('succeeded');
    expect(run?.streams).toMatchObject({ users: { deleted: 0, held: 3 }, groups: { deleted: 0, held: 1 } });
    expect(await objectsOf(tidemark.store, id)).toHaveLength(4);
  });

  it('beyond a limit is held even if hires of the same run dilute the percentage', async () => {
    const { id, source } = await integrate('diluted', '{ cleanup: { limits: { count: 100, percent: 10, floor: 1 } } }');
    fill(source, 12);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u11');
    source.remove('u12');
    for (let n = 13; n <= 40; n++) source.put('users', `u${n}`, person(n), { manager: [] });
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.streams.users).toMatchObject({ created: 28, deleted: 0, held: 2 });
  });

  it('is not believed from a listing whose seal does not fit', async () => {
    const { id, source } = await integrate('seal');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u3');
    source.sealError = 1;
    expect(await tidemark.sync({ integration: id, mode: 'complete' })).toMatchObject({
      outcome: 'failed',
      failure: { type: 'ListingIncomplete' },
    });
    expect(await objectsOf(tidemark.store, id)).toHaveLength(4);
  });

  it('of memberships beyond a limit is held, the rest of the list applied', async () => {
    const { id, source } = await integrate('members', '{ membership: { limits: { count: 2, percent: 100, floor: 1 } } }');
    fill(source, 5);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u6', person(6), { manager: [] });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u6'] });
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run?.links).toMatchObject({ added: 1, removed: 0, held: 3 });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3', 'u4', 'u6'] });
    const { run: second } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(second?.links).toMatchObject({ removed: 1 });
    const { rows } = await tidemark.store.pool.query(`select count(*)::int as held from tidemark.held_deletion where integration_id = $1`, [
      id,
    ]);
    expect(rows).toEqual([{ held: 0 }]);
  });

  it('deactivates instead of deleting where that is configured, and a return restores', async () => {
    const { id, source } = await integrate('deactivate', '{ cleanup: { action: deactivate } }');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u3');
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await changesOf(run?.id as string)).toContain('deactivated u3');
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'u3')?.attributes).toMatchObject({ active: false });
    const { run: complete } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(complete?.streams.users).toMatchObject({ deactivated: 0, held: 0 });
    source.put('users', 'u3', person(3), { manager: [] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'u3')?.attributes).toMatchObject({ active: true });
  });

  it('includes objects that include no longer admits', async () => {
    const { id, source } = await integrate('include', '{}', `{ users: { include: 'source.department != "Robots"' }, groups: {} }`);
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u3', person(3, { department: 'Robots' }), { manager: [] });
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(await changesOf(run?.id as string)).toContain('deleted u3');
    source.put('users', 'u3', person(3), { manager: [] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'g1')?.links).toEqual({ member: ['u1', 'u2', 'u3'] });
  });
});

describe('a complete sync over valid markers', () => {
  it('finds no drift where deltas have brought, or would have brought, everything', async () => {
    const { id, source } = await integrate('no-drift');
    fill(source, 6);
    // A delta reads from its marker on, the object at the marker included: here that must not be the group.
    source.put('users', 'u9', person(9));
    const first = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(first.run?.drift).toBeNull();
    source.put('users', 'u2', person(2, { department: 'Sales' }), { manager: ['u3'] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    source.put('users', 'u7', person(7), { manager: ['u1'] });
    source.put('users', 'u4', person(4, { department: 'Law' }), { manager: [] });
    // Its membership goes with it, though the group does not change.
    source.remove('u5');
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run).toMatchObject({ streams: { users: { created: 1, updated: 1, deleted: 1 } } });
    expect(run?.drift).toEqual({ users: {}, groups: {} });
  });

  it('shows what a delta would have missed, by stream and attribute, with examples kept out of the history', async () => {
    const { id, source } = await integrate('drift');
    fill(source, 6);
    source.put('users', 'u9', person(9));
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.changeSilently('users', 'u2', person(2, { department: 'Sales' }), { manager: ['u3'] });
    source.changeSilently('users', 'u4', person(4, { department: 'Law' }), { manager: ['u1'] });
    source.changeSilently('users', 'u8', person(8), {});
    source.changeSilently('groups', 'g1', { cn: 'Group 1' }, { member: ['u1'] });
    source.put('users', 'u6', person(6, { department: 'Told' }), { manager: ['u1'] });
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run?.drift).toEqual({ users: { created: 1, department: 2, manager: 1 }, groups: { member: 1 } });
    expect(await findDrift(tidemark.store, run?.id as string)).toMatchObject({
      users: { department: { objects: 2, examples: ['u2', 'u4'] }, created: { examples: ['u8'] } },
    });
    expect((await readOverview(tidemark.store)).find(({ integration }) => integration === id)?.drift).toEqual({
      run: run?.id,
      differences: 5,
    });
    const again = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(again.run?.drift).toEqual({ users: {}, groups: {} });
  });

  it('succeeds where the source can not tell what changed since the marker, and says nothing about drift of that stream', async () => {
    const { id, source } = await integrate('unreadable-changes');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u2', person(2, { department: 'Sales' }), {});
    source.changeFailures.push(new TidemarkFailure('SourceUnavailable', 'the index of changes is broken'));
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'complete', streams: ['users'] });
    expect({ outcome, run }).toMatchObject({ outcome: 'succeeded', run: { streams: { users: { updated: 1 } }, drift: null } });
    expect(source.reads.filter((read) => read === 'complete users')).toHaveLength(2);
  });

  it('compares nothing where the marker is not valid', async () => {
    const { id, source } = await integrate('no-comparison');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.changeSilently('users', 'u2', person(2, { department: 'Sales' }), {});
    source.serverId = 'server-2';
    const { run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(run).toMatchObject({ streams: { users: { updated: 1 } }, drift: null });
  });
});

describe('an item that cannot be mapped', () => {
  it('is set aside with its reason, keeps what was stored, and neither blocks the run nor counts as absent', async () => {
    const { id, source } = await integrate('quarantine');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u3', { uid: 'user3', cn: ['a', 'b'], enabled: 'perhaps' } as never, { manager: [] });
    source.put('users', 'u2', { uid: 'user2', cn: 'Changed' }, { manager: [] });
    await configure(id, '{}', `{ users: { mapping: { active: source.enabled } }, groups: {} }`);
    const { run } = await tidemark.sync({ integration: id, mode: 'auto' });
    expect(run).toMatchObject({ outcome: 'succeeded', streams: { users: { quarantined: 1, deleted: 0 } } });
    const { rows } = await tidemark.store.pool.query(`select source_id, reason from tidemark.quarantine where integration_id = $1`, [id]);
    expect(rows).toEqual([{ source_id: 'u3', reason: expect.stringContaining('active') }]);
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'u3')?.attributes).toMatchObject({
      displayName: 'User 3',
    });
    source.put('users', 'u3', { uid: 'user3', cn: 'Mended', enabled: true }, { manager: [] });
    await tidemark.sync({ integration: id, mode: 'delta' });
    const { rows: left } = await tidemark.store.pool.query(`select 1 from tidemark.quarantine where integration_id = $1`, [id]);
    expect(left).toEqual([]);
  });
});

describe('markers', () => {
  it('of another server lead to an explained complete read', async () => {
    const { id, source } = await integrate('server');
    fill(source, 2);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.serverId = 'server-2';
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run).toMatchObject({ mode: 'complete', reason: expect.stringContaining('server-1') });
  });

  it('taken with another query lead to an explained complete read', async () => {
    const { id, source } = await integrate('fingerprint');
    fill(source, 2);
    await tidemark.sync({ integration: id, mode: 'complete' });
    await configure(id, '{}', `{ users: { filter: 'uid=*' }, groups: {} }`);
    const { run } = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(run?.streams).toMatchObject({
      users: { mode: 'complete', reason: expect.stringContaining('the query') },
      groups: { mode: 'delta' },
    });
  });

  it('make auto a complete sync when the last one is older than the configured age', async () => {
    const { id, source } = await integrate('auto');
    fill(source, 2);
    await tidemark.sync({ integration: id, mode: 'auto' });
    expect((await tidemark.sync({ integration: id, mode: 'auto', completeEveryMs: 3_600_000 })).run?.mode).toBe('delta');
    expect((await tidemark.sync({ integration: id, mode: 'auto', completeEveryMs: 1 })).run).toMatchObject({
      mode: 'complete',
      reason: expect.stringContaining('older'),
    });
  });

  it('belong to streams: a run of some streams leaves the others where they were', async () => {
    const { id, source } = await integrate('streams');
    fill(source, 2);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.put('users', 'u3', person(3), { manager: [] });
    await tidemark.sync({ integration: id, mode: 'delta', streams: ['users'] });
    expect(await positions(id)).toEqual({ users: '4', groups: '3' });
  });
});

describe('a step that fails', () => {
  it('on its first attempts is tried again until it succeeds', async () => {
    const { id, source } = await integrate('retry');
    fill(source, 5);
    source.failures.push(new TidemarkFailure('SourceUnavailable', 'the line was cut'), new Error('something unexpected'));
    const { outcome, run } = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(outcome).toBe('succeeded');
    expect(run?.streams.users).toMatchObject({ created: 5 });
  });

  it('because the source stays unreachable fails after the configured limit, wherever it was met', async () => {
    for (const where of ['open', 'read'] as const) {
      const id = tidemark.temporal.integrationId(`unreachable-${where}`);
      const source = new ScriptedSource(id);
      if (where === 'read') sources.set(id, source);
      source.failures.push(...Array.from({ length: 50 }, () => new TidemarkFailure('SourceUnavailable', 'The line is dead.')));
      await tidemark.apply(
        `integrations: { ${id}: { connector: scripted, unreachableLimit: 250ms, settings: { source: ${id} }, streams: { users: {} } } }`,
      );
      const ending = await tidemark.sync({ integration: id, mode: 'complete' });
      expect(ending, where).toMatchObject({
        outcome: 'failed',
        failure: { type: 'SourceUnavailable', message: expect.stringContaining(id) },
      });
    }
  });

  it('for good leaves the markers, is recorded with its typed reason, and the next run repairs all', async () => {
    const { id, source } = await integrate('fails');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    const before = await positions(id);
    source.put('users', 'u4', person(4), { manager: [] });
    source.put('groups', 'g1', { cn: 'Renamed' }, { member: ['u4'] });
    source.failures.push(new TidemarkFailure('AuthenticationFailed', 'the password is wrong', { remedy: 'Set the right one.' }));
    const ending = await tidemark.sync({ integration: id, mode: 'delta' });
    expect(ending).toMatchObject({
      outcome: 'failed',
      failure: { type: 'AuthenticationFailed', message: expect.stringContaining(`Integration ${id}`) },
      run: { outcome: 'failed', failure: { type: 'AuthenticationFailed', message: expect.stringContaining('Set the right one.') } },
    });
    expect(await positions(id)).toEqual(before);
    expect(await stagedRows()).toBe(0);
    expect((await tidemark.sync({ integration: id, mode: 'delta' })).outcome).toBe('succeeded');
    expect((await objectsOf(tidemark.store, id)).find(({ sourceId }) => sourceId === 'g1')).toMatchObject({
      attributes: { displayName: 'Renamed' },
      links: { member: ['u4'] },
    });
  });

  it('because an object came without an id deletes nothing', async () => {
    const { id, source } = await integrate('no-id');
    fill(source, 3);
    await tidemark.sync({ integration: id, mode: 'complete' });
    source.remove('u3');
    source.extraItems.push({ kind: 'object', id: '', attributes: {} });
    source.repeatsExtraItems = true;
    const ending = await tidemark.sync({ integration: id, mode: 'complete' });
    expect(ending).toMatchObject({
      outcome: 'failed',
      failure: { type: 'ListingIncomplete', message: expect.stringContaining('without a usable id') },
    });
    expect(await objectsOf(tidemark.store, id)).toHaveLength(4);
    expect(await positions(id)).toEqual({ users: '4', groups: '4' });
  });

  it('because the integration is not configured names it and the remedy', async () => {
    const ending = await tidemark.sync({ integration: 'nowhere', mode: 'delta' });
    expect(ending).toMatchObject({
      outcome: 'failed',
      failure: { type: 'InvalidConfiguration', message: expect.stringMatching(/nowhere.*tidemark apply/) },
    });
  });

  it('because a stream does not exist names the ones that do', async () => {
    const { id } = await integrate('stream');
    const ending = await tidemark.sync({ integration: id, mode: 'delta', streams: ['printers'] });
    expect(ending).toMatchObject({
      outcome: 'failed',
      failure: { type: 'InvalidConfiguration', message: expect.stringMatching(/printers.*users, groups/) },
    });
  });
});
