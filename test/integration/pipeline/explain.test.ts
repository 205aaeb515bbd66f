import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import { formatExplanation } from '../../../cli/commands/explain.ts';
import { TidemarkFailure } from '../../../model/failure.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { startTidemark, type TestTidemark } from '../../support/tidemark.ts';

const sources = new Map<string, ScriptedSource>();
/** Ids that a source's filter leaves out when it is asked for them. */
const filtered = new Set<string>();
let tidemark: TestTidemark;
let client: TidemarkClient;

beforeAll(async () => {
  const scripted = scriptedConnector(sources);
  const connector: typeof scripted = {
    ...scripted,
    async open(options) {
      const session = await scripted.open(options);
      return {
        ...session,
        async readByIds(stream, ids) {
          const found = new Map(await session.readByIds(stream, ids));
          for (const id of ids) if (filtered.has(id)) found.set(id, { kind: 'out-of-scope' });
          return found;
        },
      };
    },
  };
  tidemark = await startTidemark([connector]);
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

const person = (n: number, more: Record<string, string | boolean> = {}) => ({ uid: `user${n}`, cn: `User ${n}`, enabled: true, ...more });

async function integrate(name: string, steps = '{}'): Promise<{ id: string; source: ScriptedSource }> {
  const id = tidemark.temporal.integrationId(name);
  const source = new ScriptedSource(id);
  sources.set(id, source);
  const users = `{ mapping: { active: source.enabled, email: source.mail }, include: 'source.department != "Robots"' }`;
  await tidemark.apply(
    `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, streams: { users: ${users}, groups: {} }, steps: ${steps} } }`,
  );
  for (let n = 1; n <= 4; n++) source.put('users', `u${n}`, person(n, { mail: `user${n}@corp.example` }), { manager: n > 1 ? ['u1'] : [] });
  source.put('groups', 'g1', { cn: 'Group 1' }, { member: ['u1', 'u2', 'nobody'] });
  await client.sync({ integration: id, mode: 'complete' });
  return { id, source };
}

describe('explain', () => {
  it('tells a plain object: its mapping, its links, the runs that touched it; by id, key, user name or e-mail', async () => {
    const { id } = await integrate('plain');
    const story = await client.explain(id, 'users', 'u2');
    expect(story).toMatchObject({
      standing: 'current',
      source: { kind: 'found', key: 'id=u2', attributes: { uid: 'user2' } },
      stored: { key: 'id=u2', attributes: { userName: 'user2' }, currentMapping: true, deletedAt: null },
      trace: { include: { inScope: true } },
      links: [{ kind: 'manager', target: 'u1', targetStream: 'users', targetKey: 'id=u1', stored: 'resolved', inSource: true }],
      changes: [{ kind: 'link-added', link: 'manager', target: 'u1' }, { kind: 'created' }],
      held: [],
      quarantine: null,
    });
    expect(story.why[0]).toBe('Stored, and equal to the source.');
    expect(story.trace?.attributes.find(({ attribute }) => attribute === 'userName')).toEqual({
      attribute: 'userName',
      expression: 'source.uid',
      source: { uid: 'user2' },
      result: 'user2',
      problem: null,
      stored: 'user2',
      differs: false,
    });
    for (const key of ['ID=U2', 'user2', 'User2@corp.example']) expect((await client.explain(id, 'users', key)).sourceId).toBe('u2');
    const group = await client.explain(id, 'groups', 'g1');
    expect(group.standing).toBe('current');
    expect(group.links).toContainEqual({
      kind: 'member',
      target: 'nobody',
      targetStream: null,
      targetKey: null,
      stored: 'unresolved',
      inSource: true,
    });
    expect(formatExplanation(group)).toMatch(/member +nobody +unresolved +yes/);
  });

  it('tells what differs from the source, attribute by attribute and link by link', async () => {
    const { id, source } = await integrate('differs');
    source.put('users', 'u2', person(2, { cn: 'Renamed', mail: 'user2@corp.example' }), { manager: ['u3'] });
    const story = await client.explain(id, 'users', 'u2');
    expect(story.standing).toBe('differs');
    expect(story.why[0]).toMatch(/differs from the source in displayName, links of kind manager/);
    expect(story.links.map(({ target, stored, inSource }) => [target, stored, inSource])).toEqual([
      ['u1', 'resolved', false],
      ['u3', 'no', true],
    ]);
  });

  it('tells why an object is deleted, held, quarantined or deactivated', async () => {
    const { id, source } = await integrate('reasons', '{ cleanup: { limits: { count: 1, percent: 100, floor: 1 } } }');
    source.remove('u4');
    const deletion = await client.sync({ integration: id, mode: 'complete' });
    const deleted = await client.explain(id, 'users', 'u4');
    expect(deleted).toMatchObject({ standing: 'deleted', stored: { deletedReason: 'gone' }, source: { kind: 'gone' } });
    expect(deleted.why[0]).toMatch(new RegExp(`^Deleted at \\d{4}-.* by run ${deletion.run?.id}: the source reported it deleted`));

    source.entries.delete('u3');
    const hold = await client.sync({ integration: id, mode: 'complete' });
    const held = await client.explain(id, 'users', 'u3');
    expect(held).toMatchObject({ standing: 'held', source: { kind: 'unknown' } });
    expect(held.why[0]).toContain(`Held since run ${hold.run?.id}`);

    source.put('users', 'u2', person(2, { enabled: 'perhaps' }), { manager: ['u1'] });
    await client.sync({ integration: id, mode: 'delta' });
    const quarantined = await client.explain(id, 'users', 'u2');
    expect(quarantined).toMatchObject({ standing: 'quarantined', quarantine: { reason: expect.stringContaining('mapping active') } });
    expect(quarantined.trace?.attributes.find(({ attribute }) => attribute === 'active')).toMatchObject({
      source: { enabled: 'perhaps' },
      result: null,
      problem: expect.stringContaining('expected true or false'),
    });
    expect(quarantined.why.at(-1)).toContain("can't be mapped");

    const other = await integrate('deactivated', '{ cleanup: { action: deactivate } }');
    other.source.remove('u4');
    await client.sync({ integration: other.id, mode: 'delta' });
    expect((await client.explain(other.id, 'users', 'u4')).standing).toBe('deactivated');
  });

  it('tells an object that include or the filter leaves out, stored before or not', async () => {
    const { id, source } = await integrate('scope');
    source.put('users', 'robot', person(9, { department: 'Robots' }), { manager: [] });
    source.put('users', 'u2', person(2, { department: 'Robots' }), { manager: [] });
    await client.sync({ integration: id, mode: 'delta' });
    const never = await client.explain(id, 'users', 'robot');
    expect(never).toMatchObject({ standing: 'out-of-scope', stored: null, trace: { include: { inScope: false } } });
    expect(never.why.join(' ')).toContain('include is not true for it: source.department != "Robots"');
    expect(await client.explain(id, 'users', 'u2')).toMatchObject({ standing: 'deleted', stored: { deletedReason: 'out-of-scope' } });
    filtered.add('elsewhere');
    const outside = await client.explain(id, 'users', 'elsewhere');
    expect(outside).toMatchObject({ standing: 'out-of-scope', source: { kind: 'out-of-scope' } });
    expect(outside.why.join(' ')).toContain('outside what the filter and base of this stream reach');
    source.put('users', 'hired', person(10), { manager: [] });
    expect((await client.explain(id, 'users', 'hired')).standing).toBe('not-stored');
  });

  it('fails clearly for a key that nothing or too much fits, and answers from the store where the source cannot be asked', async () => {
    const { id, source } = await integrate('unclear');
    await expect(client.explain(id, 'users', 'u99')).rejects.toMatchObject({
      type: 'InvalidConfiguration',
      message: expect.stringMatching(/Nothing is known of u99 in stream users .*never heard of it/),
    });
    await expect(client.explain(id, 'printers', 'u1')).rejects.toThrow(/has no stream printers/);
    source.put('users', 'twin', person(1), { manager: [] });
    await client.sync({ integration: id, mode: 'delta' });
    await expect(client.explain(id, 'users', 'user1')).rejects.toMatchObject({
      message: expect.stringContaining('fits 2 objects'),
      details: { remedy: expect.stringContaining('twin, u1') },
    });
    sources.delete(id);
    const story = await client.explain(id, 'users', 'u2');
    expect(story).toMatchObject({ source: { kind: 'unreachable' }, stored: { attributes: { userName: 'user2' } }, trace: null });
    expect(formatExplanation(story)).toContain('The source could not be asked');
    await expect(client.explain(id, 'users', 'u99')).rejects.toThrow(TidemarkFailure);
  });

  it('leaves neither key nor answer in Temporal or in the database', async () => {
    const { id } = await integrate('private');
    await client.explain(id, 'users', 'user2@corp.example');
    const { rows } = await tidemark.store.pool.query(`select 1 from tidemark.explain_request`);
    expect(rows).toEqual([]);
    const { temporal } = tidemark;
    let histories = 0;
    for (let request = 1; request <= 40; request++) {
      const handle = temporal.client.workflow.getHandle(`explain/${id}/${request}`);
      const history = await handle.fetchHistory().catch(() => undefined);
      if (history === undefined) continue;
      histories += 1;
      const texts = historyToJSON(history);
      const payloads = [...texts.matchAll(/"data": ?"([^"]*)"/g)].map(([, data]) => Buffer.from(data ?? '', 'base64').toString());
      expect([texts, ...payloads].join(' ')).not.toMatch(/corp\.example|user2|User 2/);
    }
    expect(histories).toBe(1);
  });
});
