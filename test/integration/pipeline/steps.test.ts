import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../../model/run.ts';
import { readMarkers } from '../../../store/markers.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { type ComparableObject, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
});
afterAll(async () => {
  await tidemark[Symbol.asyncDispose]();
});

interface Integration {
  readonly id: string;
  readonly source: ScriptedSource;
  configure(steps: string): Promise<void>;
  sync(mode: 'complete' | 'delta'): Promise<RunSummary>;
  objects(): Promise<Record<string, ComparableObject>>;
  positions(): Promise<Record<string, string>>;
}

/** Three users and a group, read completely with all steps on; then changed: one hired, one changed, one gone, members other than before. */
async function changedSource(name: string): Promise<Integration> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  const integration: Integration = {
    id,
    source,
    configure: (steps) =>
      tidemark.apply(
        `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, steps: ${steps}, streams: { users: { include: 'source.uid != "robot"' }, groups: {} } } }`,
      ),
    async sync(mode) {
      const { outcome, run } = await tidemark.sync({ integration: id, mode });
      expect(outcome).toBe('succeeded');
      return run as RunSummary;
    },
    objects: async () => Object.fromEntries((await objectsOf(tidemark.store, id)).map((object) => [object.sourceId, object])),
    positions: async () =>
      Object.fromEntries([...(await readMarkers(tidemark.store, id))].map(([stream, { marker }]) => [stream, marker.position])),
  };
  for (let n = 1; n <= 3; n++) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: n > 1 ? ['u1'] : [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'u3'] });
  await integration.configure('{}');
  await integration.sync('complete');
  source.put('users', 'u4', { uid: 'user4', cn: 'User 4' }, { manager: ['u1'] });
  source.put('users', 'u2', { uid: 'user2', cn: 'Changed' }, { manager: [] });
  source.remove('u3');
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u2', 'u4'] });
  return integration;
}

/** What the source holds after the changes, as a complete read with all steps stores it. */
async function expectRepaired(integration: Integration): Promise<void> {
  await integration.configure('{}');
  const run = await integration.sync('delta');
  expect(run.mode).toBe('complete');
  expect(run.reason).toContain('steps');
  const objects = await integration.objects();
  expect(Object.keys(objects)).toEqual(['g1', 'u1', 'u2', 'u4']);
  expect(objects.g1?.links).toEqual({ member: ['u2', 'u4'] });
  expect(objects.u2).toMatchObject({ attributes: { displayName: 'Changed' }, links: {} });
  expect(objects.u4?.links).toEqual({ manager: ['u1'] });
}

describe('a disabled step', () => {
  it('query reads nothing and moves no marker', async () => {
    const integration = await changedSource('query');
    const before = [await integration.objects(), await integration.positions()];
    await integration.configure('{ query: { enabled: false } }');
    integration.source.reads.length = 0;
    const run = await integration.sync('complete');
    expect(integration.source.reads).toEqual([]);
    expect([await integration.objects(), await integration.positions()]).toEqual(before);
    expect(run.steps.query).toEqual({ durationMs: 0, skipped: 'disabled in the configuration' });
    await integration.configure('{}');
    expect((await integration.sync('delta')).mode).toBe('delta');
    expect(Object.keys(await integration.objects())).toEqual(['g1', 'u1', 'u2', 'u4']);
  });

  it('transform stores attributes as the source names them and admits every object', async () => {
    const integration = await changedSource('transform');
    integration.source.put('users', 'u5', { uid: 'robot', cn: 'Robot' }, { manager: [] });
    await integration.configure('{ transform: { enabled: false } }');
    const run = await integration.sync('delta');
    expect(run.steps.transform?.skipped).toBeDefined();
    expect((await integration.objects()).u5?.attributes).toEqual({ uid: 'robot', cn: 'Robot' });
    await expectRepaired(integration);
  });

  it('lookup leaves links as they are and applies the rest', async () => {
    const integration = await changedSource('lookup');
    await integration.configure('{ lookup: { enabled: false } }');
    const run = await integration.sync('delta');
    expect(run.steps).toMatchObject({
      lookup: { skipped: 'disabled in the configuration' },
      membership: { skipped: expect.stringContaining('lookup') },
    });
    const objects = await integration.objects();
    expect(objects.g1?.links).toEqual({ member: ['u1', 'u2'] });
    expect(objects.u2).toMatchObject({ attributes: { displayName: 'Changed' }, links: { manager: ['u1'] } });
    expect(objects.u4?.links).toEqual({});
    await expectRepaired(integration);
  });

  it('upsert creates and updates nothing and moves no marker', async () => {
    const integration = await changedSource('upsert');
    const before = await integration.positions();
    await integration.configure('{ upsert: { enabled: false } }');
    await integration.sync('delta');
    const objects = await integration.objects();
    expect(Object.keys(objects)).toEqual(['g1', 'u1', 'u2']);
    expect(objects.u2).toMatchObject({ attributes: { displayName: 'User 2' }, links: { manager: ['u1'] } });
    expect(objects.g1?.links).toEqual({ member: ['u2'] });
    expect(await integration.positions()).toEqual(before);
    await integration.configure('{}');
    expect((await integration.sync('delta')).mode).toBe('delta');
    expect((await integration.objects()).g1?.links).toEqual({ member: ['u2', 'u4'] });
    expect(Object.keys(await integration.objects())).toEqual(['g1', 'u1', 'u2', 'u4']);
  });

  it('membership leaves member links as they are; other links are applied', async () => {
    const integration = await changedSource('membership');
    await integration.configure('{ membership: { enabled: false } }');
    await integration.sync('delta');
    const objects = await integration.objects();
    expect(objects.g1?.links).toEqual({ member: ['u1', 'u2'] });
    expect(objects.u4?.links).toEqual({ manager: ['u1'] });
    await expectRepaired(integration);
  });

  it('membership in deltas only is left to the next complete sync', async () => {
    const integration = await changedSource('membership-delta');
    await integration.configure('{ membership: { delta: false } }');
    await integration.sync('complete');
    integration.source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1'] });
    const run = await integration.sync('delta');
    expect(run.steps.membership?.skipped).toContain('complete');
    expect((await integration.objects()).g1?.links).toEqual({ member: ['u2', 'u4'] });
    await integration.sync('complete');
    expect((await integration.objects()).g1?.links).toEqual({ member: ['u1'] });
  });

  it('cleanup deletes nothing; once enabled, a complete read finds what is absent', async () => {
    const integration = await changedSource('cleanup');
    await integration.configure('{ cleanup: { enabled: false } }');
    await integration.sync('delta');
    expect(Object.keys(await integration.objects())).toEqual(['g1', 'u1', 'u2', 'u3', 'u4']);
    await expectRepaired(integration);
  });
});
