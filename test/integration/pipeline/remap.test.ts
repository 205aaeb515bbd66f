import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findReevaluations } from '../../../cli/apply.ts';
import { formatPlan } from '../../../cli/commands/apply.ts';
import type { Connector } from '../../../connectors/connector.ts';
import { connectorRegistry } from '../../../connectors/registry.ts';
import { loadConfiguration } from '../../../model/config/load.ts';
import type { RunSummary } from '../../../model/run.ts';
import { readMarkers } from '../../../store/markers.ts';
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

const changed = `{ mapping: { displayName: 'source.cn.upperAscii()', title: source.job } }`;

interface Integration {
  readonly id: string;
  readonly source: ScriptedSource;
  /** `users` is the stream's block, `steps` the steps', both YAML in flow style. */
  configure(users: string, steps?: string): Promise<void>;
  sync(mode: 'complete' | 'delta' | 'remap'): Promise<RunSummary>;
  /** Attributes and links by source id. */
  objects(): Promise<Record<string, { readonly attributes: unknown; readonly links: unknown }>>;
}

async function integrate(name: string, source: ScriptedSource): Promise<Integration> {
  const id = tidemark.temporal.integrationId(name);
  sources.set(id, source);
  return {
    id,
    source,
    configure: (users, steps = '{}') =>
      tidemark.apply(
        `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: ${users}, groups: {} }, steps: ${steps} } }`,
      ),
    async sync(mode) {
      const { outcome, failure, run } = await tidemark.sync({ integration: id, mode });
      expect({ outcome, failure }).toEqual({ outcome: 'succeeded', failure: undefined });
      return run as RunSummary;
    },
    objects: async () =>
      Object.fromEntries((await objectsOf(tidemark.store, id)).map(({ sourceId, attributes, links }) => [sourceId, { attributes, links }])),
  };
}

/** Four users and their group, read completely under the default mapping. */
async function readSource(name: string): Promise<Integration> {
  const integration = await integrate(name, new ScriptedSource(name));
  const { source } = integration;
  for (let n = 1; n <= 4; n++)
    source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}`, job: `Job ${n}` }, { manager: n > 1 ? ['u1'] : [] });
  source.put('groups', 'g1', { cn: 'Group' }, { member: ['u1', 'u2', 'u3', 'u4'] });
  await integration.configure('{}');
  await integration.sync('complete');
  source.reads.length = 0;
  return integration;
}

/** The rows are those of a fresh integration that reads the same source completely. */
async function expectAsReadAnew(integration: Integration, users: string): Promise<void> {
  const fresh = await integrate(`${integration.source.name}-fresh`, integration.source);
  await fresh.configure(users);
  await fresh.sync('complete');
  expect(await integration.objects()).toEqual(await fresh.objects());
}

async function changesOf({ id }: RunSummary): Promise<Record<string, number>> {
  const { rows } = await tidemark.store.pool.query<{ kind: string; count: number }>(
    `select kind, count(*)::int as count from tidemark.change where run_id = $1 group by kind`,
    [id],
  );
  return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
}

describe('a changed mapping', () => {
  it('is applied by the next delta to all that is stored, beside what it reads', async () => {
    const integration = await readSource('in-delta');
    const { source } = integration;
    source.put('users', 'u2', { uid: 'user2', cn: 'Other', job: 'Chief' }, { manager: [] });
    source.put('users', 'u5', { uid: 'user5', cn: 'User 5' }, { manager: ['u2'] });
    source.remove('u3');
    await integration.configure(changed);
    const run = await integration.sync('delta');
    expect(source.reads.sort()).toEqual(['delta groups', 'delta users']);
    expect(run).toMatchObject({ mode: 'delta', reason: expect.stringMatching(/mapped anew.*mapping changed/) });
    expect(run.streams.users).toMatchObject({ read: 3, created: 1, updated: 3, deleted: 1 });
    await expectAsReadAnew(integration, changed);
    source.reads.length = 0;
    const next = await integration.sync('delta');
    expect(next.reason).toBe('changes since the stored marker');
    expect(await changesOf(next)).toEqual({});
  });

  it('is applied by a remap, which asks the source nothing and leaves the marker where it is', async () => {
    const integration = await readSource('alone');
    const { id, source } = integration;
    const before = await readMarkers(tidemark.store, id);
    sources.delete(id);
    await integration.configure(changed);
    const run = await integration.sync('remap');
    expect(run).toMatchObject({ mode: null, requestedMode: 'remap', streams: { users: { mode: null, read: 0, updated: 4 } } });
    expect(run.steps.query?.skipped).toBe('a remap reads nothing');
    expect(await changesOf(run)).toEqual({ updated: 4 });
    const after = await readMarkers(tidemark.store, id);
    expect([...after].map(([stream, { marker }]) => [stream, marker])).toEqual([...before].map(([stream, { marker }]) => [stream, marker]));
    expect(after.get('users')?.completeAt).toEqual(before.get('users')?.completeAt);
    sources.set(id, source);
    await expectAsReadAnew(integration, changed);
    expect((await integration.sync('delta')).reason).toBe('changes since the stored marker');
    expect(await changesOf(await integration.sync('remap'))).toEqual({});
  });

  it('changes nothing in a dry run', async () => {
    const integration = await readSource('rehearsed');
    const before = await integration.objects();
    await integration.configure(changed);
    const { outcome, run } = await tidemark.sync({ integration: integration.id, mode: 'remap', dryRun: true });
    expect({ outcome, updated: run?.streams.users?.updated }).toEqual({ outcome: 'succeeded', updated: 4 });
    expect(await integration.objects()).toEqual(before);
    expect((await integration.sync('remap')).streams.users?.updated).toBe(4);
  });

  it('that fails on a record sets it aside; once mended, the next delta reads that record again', async () => {
    const integration = await readSource('mended');
    const { id, source } = integration;
    source.put('users', 'u2', { uid: 'user2', cn: 'User 2', job: 7 }, { manager: ['u1'] });
    // Deltas read their marker's own change again: it is another object's.
    source.put('users', 'u3', { uid: 'user3', cn: 'User 3', job: 'Other' }, { manager: ['u1'] });
    await integration.sync('delta');
    await integration.configure(changed);
    const failing = await integration.sync('remap');
    expect(failing.streams.users).toMatchObject({ updated: 3, quarantined: 1 });
    expect((await integration.objects()).u2?.attributes).toMatchObject({ displayName: 'User 2' });
    const mended = `{ mapping: { displayName: 'source.cn.upperAscii()', title: string(source.job) } }`;
    await integration.configure(mended);
    await integration.sync('remap');
    expect((await integration.objects()).u2?.attributes).toMatchObject({ displayName: 'User 2' });
    const asked: string[] = [];
    source.beforeReadByIds = async (ids) => asked.push(...ids);
    await integration.sync('delta');
    expect(asked).toEqual(['u2']);
    expect((await integration.objects()).u2?.attributes).toMatchObject({ displayName: 'USER 2', title: '7' });
    const { rows } = await tidemark.store.pool.query(`select 1 from tidemark.quarantine where integration_id = $1`, [id]);
    expect(rows).toEqual([]);
  });

  it('neither revives what is deleted or deactivated, nor lets go of what is held', async () => {
    const integration = await readSource('in-doubt');
    const { id, source } = integration;
    const deactivate = '{ cleanup: { action: deactivate, limits: { count: 1, percent: 100, floor: 1 } } }';
    await integration.configure('{}', deactivate);
    source.remove('u4');
    await integration.sync('delta');
    source.remove('u2');
    source.remove('u3');
    expect((await integration.sync('delta')).streams.users).toMatchObject({ held: 2 });
    await integration.configure(changed, deactivate);
    expect((await integration.sync('remap')).streams.users).toMatchObject({ updated: 1, restored: 0 });
    const { rows } = await tidemark.store.pool.query(
      `select source_id, attributes ->> 'displayName' as name, deactivated_at is not null as deactivated,
              exists (select 1 from tidemark.held_deletion h where h.object_id = o.id) as held
         from tidemark.object o where integration_id = $1 and stream = 'users' order by source_id`,
      [id],
    );
    expect(rows).toEqual([
      { source_id: 'u1', name: 'USER 1', deactivated: false, held: false },
      { source_id: 'u2', name: 'User 2', deactivated: false, held: true },
      { source_id: 'u3', name: 'User 3', deactivated: false, held: true },
      { source_id: 'u4', name: 'User 4', deactivated: true, held: false },
    ]);
  });
});

describe('what apply says of the next run', () => {
  it('is what that run does', async () => {
    const integration = await readSource('foretold');
    const connectors = connectorRegistry([scriptedConnector(sources) as Connector]);
    const foretold = async (users: string) => {
      const text = `integrations: { ${integration.id}: { connector: scripted, settings: { source: x }, streams: { users: ${users}, groups: {} } } }`;
      const loaded = loadConfiguration({ text, file: 'test.yaml' }, connectors);
      if (!loaded.ok) throw new Error(loaded.problems[0]?.message);
      return findReevaluations(tidemark.store, loaded.configuration, connectors);
    };
    const about = { integration: integration.id, stream: 'users' };
    expect(await foretold('{}')).toEqual([]);
    expect(await foretold(changed)).toEqual([{ ...about, needs: 'remap', why: expect.stringContaining('mapping changed') }]);
    expect(await foretold(`{ filter: 'uid=*' }`)).toEqual([{ ...about, needs: 'complete', why: expect.stringContaining('query') }]);
    expect(formatPlan({ integrations: [], schedules: [], spacing: [], reevaluations: await foretold(changed) }, false)).toContain(
      `${integration.id}: the next run maps the stored users anew, without reading them: the mapping changed`,
    );
  });
});

describe('a changed include', () => {
  it('is applied by a remap to what is stored, within the limits of deletions; what it lets in comes with the complete read that follows', async () => {
    const integration = await readSource('scope');
    const narrowed = `{ include: source.uid != "user4" }`;
    await integration.configure(narrowed);
    expect((await integration.sync('remap')).streams.users).toMatchObject({ deleted: 1, updated: 0 });
    expect(Object.keys(await integration.objects())).toEqual(['g1', 'u1', 'u2', 'u3']);
    const next = await integration.sync('delta');
    expect(next.streams.users).toMatchObject({ mode: 'complete', reason: expect.stringContaining('include changed') });
    await expectAsReadAnew(integration, narrowed);
    await integration.configure('{ include: source.uid == "nobody" }', '{ cleanup: { limits: { count: 2, percent: 100, floor: 1 } } }');
    // The steps are the same, only their limits are not.
    expect((await integration.sync('remap')).streams.users).toMatchObject({ deleted: 0, held: 3 });
  });
});

describe('a remap', () => {
  it('is refused where the records are not what the configuration would read, with the remedy', async () => {
    const integration = await readSource('refused');
    await integration.configure(`{ filter: 'uid=*', mapping: { title: source.job } }`);
    const { outcome, failure } = await tidemark.sync({ integration: integration.id, mode: 'remap' });
    expect({ outcome, type: failure?.type }).toEqual({ outcome: 'failed', type: 'InvalidConfiguration' });
    expect(failure?.message).toMatch(/stream users can't be mapped from what is stored: the query.* --mode complete --streams users/);
    expect(integration.source.reads).toEqual([]);
  });

  it('waits for a run in its way', async () => {
    const integration = await readSource('waits');
    const gate = integration.source.stall();
    const complete = integration.sync('complete');
    await gate.reached;
    const remap = integration.sync('remap');
    gate.open();
    await complete;
    expect((await remap).requestedMode).toBe('remap');
  });
});
