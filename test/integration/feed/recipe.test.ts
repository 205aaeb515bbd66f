import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkClient } from '../../../cli/client.ts';
import type { Change } from '../../../store/sql/read-changes.ts';
import { ScriptedSource, scriptedConnector } from '../../support/scripted-source.ts';
import { type ComparableObject, objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { randomFrom } from './interleaving.ts';

const sources = new Map<string, ScriptedSource>();
let tidemark: TestTidemark;
let client: TidemarkClient;

beforeAll(async () => {
  tidemark = await startTidemark([scriptedConnector(sources)]);
  client = await TidemarkClient.connect({
    databaseUrl: tidemark.databaseUrl,
    temporal: { connection: { address: tidemark.temporal.address }, namespace: tidemark.temporal.namespace },
  });
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await tidemark[Symbol.asyncDispose]();
});

interface Copy {
  key: string | null;
  attributes: Record<string, unknown>;
  readonly links: Set<string>;
}

/** A consumer as docs/changes.md describes it. */
class Consumer {
  readonly copies = new Map<string, Copy>();
  readonly integration: string;
  cursor: string | undefined;

  constructor(integration: string) {
    this.integration = integration;
  }

  async load(): Promise<void> {
    this.cursor = await client.changesCursor();
    for await (const { stream, sourceId, key, attributes, links } of client.objects(this.integration)) {
      const targets = Object.entries(links).flatMap(([kind, ids]) => ids.map((id) => `${kind} ${id}`));
      this.copies.set(`${stream}/${sourceId}`, { key, attributes: { ...attributes }, links: new Set(targets) });
    }
  }

  async catchUp(): Promise<void> {
    for await (const change of client.changes(this.cursor === undefined ? {} : { after: this.cursor })) {
      if (change.integration === this.integration) this.apply(change);
      this.cursor = change.cursor;
    }
  }

  apply({ kind, stream, sourceId, before, after, link }: Change): void {
    const id = `${stream}/${sourceId}`;
    const copy = this.copies.get(id);
    const was = (before ?? {}) as { attributes?: Record<string, unknown> };
    const is = (after ?? {}) as { key?: string | null; attributes?: Record<string, unknown> };
    switch (kind) {
      case 'created':
      case 'restored':
        this.copies.set(id, { key: is.key ?? null, attributes: { ...is.attributes }, links: copy?.links ?? new Set() });
        return;
      case 'updated':
        if (copy === undefined) return;
        for (const name of Object.keys(was.attributes ?? {})) if (!(name in (is.attributes ?? {}))) delete copy.attributes[name];
        Object.assign(copy.attributes, is.attributes);
        if ('key' in is) copy.key = is.key ?? null;
        return;
      case 'deactivated':
        if (copy !== undefined) copy.attributes.active = false;
        return;
      case 'deleted':
        this.copies.delete(id);
        return;
      case 'link-added':
        copy?.links.add(`${link?.kind} ${link?.target.sourceId}`);
        return;
      case 'link-removed':
        copy?.links.delete(`${link?.kind} ${link?.target.sourceId}`);
    }
  }

  comparable(): readonly unknown[] {
    return [...this.copies]
      .map(([id, { key, attributes, links }]) => ({ id, key, attributes, links: [...links].sort() }))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }
}

function expected(objects: readonly ComparableObject[]): readonly unknown[] {
  return objects
    .map(({ stream, sourceId, key, attributes, links }) => ({
      id: `${stream}/${sourceId}`,
      key,
      attributes,
      links: Object.entries(links)
        .flatMap(([kind, ids]) => ids.map((target) => `${kind} ${target}`))
        .sort(),
    }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

describe('a consumer that follows the recipe', () => {
  it.each([
    ['delete', 11],
    ['deactivate', 12],
  ] as const)('has what Tidemark has, from its first change or from a load amid runs (cleanup: %s)', async (action, seed) => {
    const random = randomFrom(seed);
    const id = tidemark.temporal.integrationId(`recipe-${action}`);
    const source = new ScriptedSource(id);
    sources.set(id, source);
    await tidemark.apply(
      `integrations: { ${id}: { connector: scripted, settings: { source: ${id} }, steps: { cleanup: { action: ${action} } } } }`,
    );
    const people = 12;
    const pick = () => `u${1 + Math.floor(random() * people)}`;
    const mutate = () => {
      for (let n = 0; n < 5; n++) {
        const user = pick();
        if (random() < 0.3) source.remove(user);
        else {
          const department = random() < 0.5 ? {} : { department: `D${Math.floor(random() * 3)}` };
          source.put(
            'users',
            user,
            { uid: user, cn: `User ${Math.floor(random() * 4)}`, ...department },
            { manager: random() < 0.5 ? [] : [pick()] },
          );
        }
      }
      source.put('groups', 'g1', { cn: 'Group' }, { member: Array.from({ length: Math.floor(random() * 6) }, pick) });
    };
    const fromTheFirst = new Consumer(id);
    fromTheFirst.cursor = await client.changesCursor();
    const loaded: Consumer[] = [];
    for (let n = 1; n <= people; n++) source.put('users', `u${n}`, { uid: `u${n}`, cn: 'User' }, { manager: [] });
    source.put('groups', 'g1', { cn: 'Group' }, { member: [] });
    const kinds = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const syncing = tidemark.sync({ integration: id, mode: round % 4 === 0 ? 'complete' : 'delta' });
      const consumer = new Consumer(id);
      await consumer.load();
      loaded.push(consumer);
      expect((await syncing).outcome).toBe('succeeded');
      const whole = expected(await objectsOf(tidemark.store, id));
      for (const each of [fromTheFirst, ...loaded]) {
        await each.catchUp();
        expect(each.comparable()).toEqual(whole);
      }
      mutate();
    }
    for await (const { kind, integration } of client.changes()) if (integration === id) kinds.add(kind);
    expect([...kinds].sort()).toEqual(
      ['created', action === 'delete' ? 'deleted' : 'deactivated', 'link-added', 'link-removed', 'restored', 'updated'].sort(),
    );
  });
});
