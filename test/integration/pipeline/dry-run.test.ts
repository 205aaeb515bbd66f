import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import type { RunSummary } from '../../../model/run.ts';
import type { PlanSamples } from '../../../store/rehearsal.ts';
import { findCovering } from '../../../store/sql/find-covering.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;
let client: TidemarkClient;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
  client = await TidemarkClient.connect({
    databaseUrl: tidemark.databaseUrl,
    temporal: { connection: { address: tidemark.temporal.address }, namespace: tidemark.temporal.namespace },
    taskQueue: tidemark.temporal.taskQueue,
  });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await tidemark?.[Symbol.asyncDispose]();
});

/** Every row of every table, but for the records of runs and the count of claims. */
async function database(): Promise<Readonly<Record<string, readonly unknown[]>>> {
  const { pool } = tidemark.store;
  const { rows: tables } = await pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables
      where table_schema = 'tidemark' and table_type = 'BASE TABLE' and table_name <> 'sync_run' order by 1`,
  );
  const content: Record<string, readonly unknown[]> = {};
  for (const { name } of tables) {
    const { rows } = await pool.query(`select to_jsonb(t) - 'run_epoch' as row from tidemark.${name} t order by 1`);
    content[name] = rows.map(({ row }) => row);
  }
  return content;
}

function totals({ streams, links, mode, drift }: RunSummary): unknown {
  return { mode, links, drift, streams: Object.fromEntries(Object.entries(streams).map(([name, { marker: _, ...rest }]) => [name, rest])) };
}

/** What a run did, in the shape of a dry run's samples, as texts. */
async function doneBy(run: string): Promise<readonly string[]> {
  const { rows } = await tidemark.store.pool.query<{ text: string }>(
    `select c.kind || ' ' || o.stream || ' ' || o.source_id || coalesce(' ' || c.link || ' ' || t.source_id, '') as text
       from tidemark.change c join tidemark.object o on o.id = c.object_id left join tidemark.object t on t.id = c.target_id where c.run_id = $1
      union all
     select 'held ' || h.stream || ' ' || o.source_id || coalesce(' ' || h.link || ' ' || t.source_id, '')
       from tidemark.held_deletion h join tidemark.object o on o.id = h.object_id left join tidemark.object t on t.id = h.target_id
      where h.last_run_id = $1
      union all
     select 'quarantined ' || q.stream || ' ' || q.source_id from tidemark.quarantine q where q.last_run_id = $1`,
    [run],
  );
  return rows.map(({ text }) => text).toSorted();
}

function sampled(samples: PlanSamples | null): readonly string[] {
  return Object.entries(samples ?? {})
    .flatMap(([kind, list]) =>
      list.map(({ stream, sourceId, link }) => `${kind} ${stream} ${sourceId}${link ? ` ${link.kind} ${link.target}` : ''}`),
    )
    .toSorted();
}

interface Case {
  readonly what: string;
  readonly mode: 'complete' | 'delta';
  readonly steps?: string;
  readonly users?: string;
  readonly change: (source: ScriptedSource, id: string) => unknown;
  /** What must be in it, so that the case is about what it says. */
  readonly expected: readonly string[];
}

const person = (n: number, more: Record<string, string | boolean> = {}) => ({ uid: `user${n}`, cn: `User ${n}`, ...more });

/** Hired, changed, gone, returned, unmappable, mended, moved between groups. */
function everything(source: ScriptedSource): void {
  source.put('users', 'u20', person(20), { manager: ['u1'] });
  source.put('users', 'u2', person(2, { department: 'Sales' }), { manager: ['u20'] });
  source.remove('u3');
  source.put('users', 'gone-before', person(30), { manager: ['u2'] });
  source.put('users', 'u4', person(4, { enabled: 'perhaps' }), { manager: [] });
  source.put('users', 'bad', person(40, { enabled: true }), { manager: [] });
  source.put('users', 'u5', person(5, { department: 'Robots' }), { manager: [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u6', 'u7', 'u8', 'u20', 'gone-before', 'bad', 'nobody'] });
  source.put('groups', 'g2', { cn: 'Group 2' }, { member: ['g1'] });
}

const inEverything = [
  'created users u20',
  'updated users u2',
  'deleted users u3',
  'deleted users u5',
  'restored users gone-before',
  'quarantined users u4',
  'created users bad',
  'created groups g2',
  'link-added groups g1 member u20',
  'link-removed users u2 manager u1',
];

const cases: readonly Case[] = [
  ...(['complete', 'delta'] as const).flatMap((mode): readonly Case[] => [
    { what: 'everything that can happen', mode, change: everything, expected: inEverything },
    { what: 'everything, in batches of two', mode, steps: '{ upsert: { batchSize: 2 } }', change: everything, expected: inEverything },
    {
      what: 'deletions and removals beyond their limits',
      mode,
      steps: '{ cleanup: { limits: { count: 1, percent: 100, floor: 0 } }, membership: { limits: { count: 1, percent: 100, floor: 0 } } }',
      change: everything,
      expected: ['created users u20', 'held users u3', 'held users u5', 'held groups g1 member u9'],
    },
    {
      what: 'deactivations',
      mode,
      steps: '{ cleanup: { action: deactivate, purgeAfter: 1d } }',
      change: everything,
      expected: ['deactivated users u3', 'restored users gone-before'],
    },
    { what: 'no upsert', mode, steps: '{ upsert: { enabled: false } }', change: everything, expected: ['deleted users u3'] },
    { what: 'no membership', mode, steps: '{ membership: { enabled: false } }', change: everything, expected: ['deleted users u3'] },
    { what: 'nothing at all', mode, change: () => undefined, expected: [] },
    {
      what: 'quarantined records that are to be tried again',
      mode,
      change: async (source: ScriptedSource, id: string) => {
        const entry = source.entries.get('bad');
        if (entry) source.entries.set('bad', { ...entry, attributes: person(40, { enabled: true }), usn: 0 });
        await tidemark.store.pool.query(`update tidemark.quarantine set retry_asked_at = now() where integration_id = $1`, [id]);
      },
      expected: ['created users bad', 'link-added groups g1 member bad'],
    },
    {
      what: 'a row that PostgreSQL refuses',
      mode,
      steps: '{ upsert: { batchSize: 5 } }',
      change: (source: ScriptedSource) => {
        source.put('users', 'u21', person(21, { department: 'Refused' }), { manager: [] });
        source.put('users', 'u22', person(22), { manager: ['u21'] });
      },
      expected: ['quarantined users u21', 'created users u22'],
    },
  ]),
  {
    what: 'absence that is in doubt and held rows that are withdrawn',
    mode: 'complete',
    change: async (source, id) => {
      const u7 = source.entries.get('u7');
      source.entries.delete('u7');
      const { run } = await client.sync({ integration: id, mode: 'complete' });
      expect(run?.streams.users?.held).toBe(1);
      if (u7) source.entries.set('u7', u7);
      source.entries.delete('u6');
    },
    expected: ['held users u6'],
  },
];

describe('a dry run foretells exactly what the run after it does, and stores nothing', () => {
  it.each(cases)('$mode: $what', async ({ what, mode, steps = '{}', users, change, expected }) => {
    const id = tidemark.temporal.integrationId(`${mode}-${what.replaceAll(/[^a-z]/g, '')}`.slice(0, 40));
    const source = new ScriptedSource(id);
    sources.set(id, source);
    const block = users ?? `{ mapping: { active: 'source.enabled' }, include: 'source.department != "Robots"' }`;
    const configure = (someSteps: string) =>
      tidemark.apply(
        `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: ${block}, groups: {} }, steps: ${someSteps} } }`,
      );
    await configure('{ cleanup: { limits: { count: 100, percent: 100, floor: 100 } } }');
    for (let n = 1; n <= 9; n++) source.put('users', `u${n}`, person(n, { enabled: true }), { manager: n > 1 ? ['u1'] : [] });
    source.put('users', 'gone-before', person(30, { enabled: true }), { manager: ['u2'] });
    source.put('users', 'bad', person(40, { enabled: 'perhaps' }), { manager: [] });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3', 'u6', 'u7', 'u8', 'u9', 'gone-before', 'bad'] });
    await client.sync({ integration: id, mode: 'complete' });
    source.remove('gone-before');
    await client.sync({ integration: id, mode: 'delta' });
    await tidemark.store.pool.query(
      `alter table tidemark.object drop constraint if exists refused; alter table tidemark.object add constraint refused check (attributes ->> 'department' <> 'Refused')`,
    );
    await configure(steps);
    // Brings the markers to these steps, so that a delta is one.
    if (!steps.includes('upsert: { enabled')) await client.sync({ integration: id, mode: 'complete' });
    await change(source, id);
    const before = await database();
    const dry = await client.sync({ integration: id, mode, dryRun: true });
    expect(dry).toMatchObject({ outcome: 'succeeded', run: { dryRun: true } });
    expect(await database()).toEqual(before);
    const samples = await client.planSamples(dry.run?.id as string);
    const real = await client.sync({ integration: id, mode });
    expect(real).toMatchObject({ outcome: 'succeeded', run: { dryRun: false } });
    expect(totals(dry.run as RunSummary)).toEqual(totals(real.run as RunSummary));
    expect(sampled(samples)).toEqual(await doneBy(real.run?.id as string));
    expect(sampled(samples)).toEqual(expect.arrayContaining([...expected]));
    for (const { marker } of Object.values(dry.run?.streams ?? {})) expect(marker.after).toBe(marker.before);
  });

  it('gives at most ten samples of each kind and stream, and the counts of all', async () => {
    const id = tidemark.temporal.integrationId('many');
    const source = new ScriptedSource(id);
    sources.set(id, source);
    await tidemark.apply(
      `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} } } }`,
    );
    for (let n = 1; n <= 25; n++) source.put('users', `u${n}`, person(n), { manager: n > 1 ? ['u1'] : [] });
    source.put('groups', 'g1', { cn: 'Group 1' }, { member: [] });
    const { run } = await client.sync({ integration: id, mode: 'auto', dryRun: true });
    expect(run).toMatchObject({ mode: 'complete', streams: { users: { created: 25 } }, links: { added: 24 } });
    const samples = await client.planSamples(run?.id as string);
    expect(samples?.created?.map(({ stream }) => stream)).toEqual(['groups', ...Array.from({ length: 10 }, () => 'users')]);
    expect(samples?.['link-added']).toHaveLength(10);
    expect(samples?.created?.[1]).toMatchObject({ after: { attributes: { displayName: expect.stringMatching(/^User/) } } });
    expect(JSON.stringify(run)).not.toContain('User');
  });
});

describe('a dry run', () => {
  it('covers no waiting complete, publishes nothing, and is neither the last run nor the last success', async () => {
    const id = tidemark.temporal.integrationId('covers');
    const source = new ScriptedSource(id);
    sources.set(id, source);
    await tidemark.apply(
      `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} } } }`,
    );
    source.put('users', 'u1', person(1), { manager: [] });
    const request = { integration: id, mode: 'complete' } as const;
    await client.sync({ ...request, dryRun: true });
    expect(await findCovering(tidemark.store.pool, request, new Date(0))).toBeNull();
    const [status] = (await client.status()).filter(({ integration }) => integration === id);
    expect(status).toMatchObject({ lastRun: null, lastSuccess: null });
    for await (const change of client.changes()) expect(change.integration).not.toBe(id);
    const { run } = await client.sync(request);
    expect(await findCovering(tidemark.store.pool, request, new Date(0))).toBe(run?.id);
  });

  it('that is asked for while a run is under way is skipped or waits like any other', async () => {
    const id = tidemark.temporal.integrationId('in-the-way');
    const source = new ScriptedSource(id);
    sources.set(id, source);
    await tidemark.apply(
      `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: {}, groups: {} } } }`,
    );
    source.put('users', 'u1', person(1), { manager: [] });
    const gate = source.stall();
    const running = await client.startSync({ integration: id, mode: 'complete' });
    await gate.reached;
    const waiting = await client.startSync({ integration: id, mode: 'complete', dryRun: true });
    const { outcome, run } = await client.sync({ integration: id, mode: 'delta', dryRun: true });
    expect({ outcome, dryRun: run?.dryRun }).toEqual({ outcome: 'skipped', dryRun: true });
    gate.open();
    expect((await client.follow(running)).outcome).toBe('succeeded');
    expect(await client.follow(waiting)).toMatchObject({ outcome: 'succeeded', run: { dryRun: true, streams: { users: { created: 0 } } } });
  });
});
