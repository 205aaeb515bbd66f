import { Attribute, Change, type Client, Control } from 'ldapts';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import type { ReadEnd, Session } from '../../../connectors/connector.ts';
import type { Item, ItemLinks, SourceAttributes } from '../../../model/item.ts';
import type { Marker, ServerIdentity } from '../../../model/marker.ts';
import type { SambaServer } from '../../support/samba.ts';

export interface OpenChoices {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Stream to its block; default: users, groups and containers with empty ones. */
  readonly streams?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly attributes?: readonly string[];
  readonly pageSize?: number;
  readonly server?: ServerIdentity;
  readonly password?: string;
  readonly signal?: AbortSignal;
}

/** Opens a session with a test's domain controller, as administrator over LDAPS unless told otherwise. */
export function openSession(dc: SambaServer, choices: OpenChoices = {}): Promise<Session> {
  const silent = (): void => undefined;
  const streams = choices.streams ?? { users: {}, groups: {}, containers: {} };
  return activeDirectory.open({
    settings: activeDirectory.settings.parse({
      urls: [dc.ldapsUrl],
      bindDn: dc.adminDn,
      bindPassword: { env: 'PASSWORD' },
      baseDn: dc.baseDn,
      caFile: dc.caFile,
      ...choices.settings,
    }),
    streams: Object.fromEntries(
      Object.entries(streams).map(([name, block]) => [
        name,
        { settings: activeDirectory.streamSettings.parse(block), attributes: choices.attributes ?? ['cn'] },
      ]),
    ),
    pageSize: choices.pageSize ?? 100,
    ...(choices.server === undefined ? {} : { server: choices.server }),
    signal: choices.signal ?? new AbortController().signal,
    log: { debug: silent, info: silent, warn: silent },
    secret: () => Promise.resolve(choices.password ?? dc.adminPassword),
  });
}

/** All that a read gave, in order, and how it ended. */
export interface WholeRead {
  readonly pages: readonly (readonly Item[])[];
  readonly items: readonly Item[];
  readonly end: ReadEnd;
}

export async function readWhole(read: AsyncGenerator<readonly Item[], ReadEnd>): Promise<WholeRead> {
  const pages: (readonly Item[])[] = [];
  for (;;) {
    const step = await read.next();
    if (step.done === true) return { pages, items: pages.flat(), end: step.value };
    pages.push(step.value);
  }
}

export interface ReadObject {
  readonly id: string;
  readonly key: string | undefined;
  readonly attributes: SourceAttributes;
  readonly links: ItemLinks;
}

/** The objects of a read by id, the slices of long lists put together. */
export function objectsOf(items: readonly Item[]): ReadonlyMap<string, ReadObject> {
  const objects = new Map<string, ReadObject>();
  for (const item of items) {
    if (item.kind === 'object') objects.set(item.id, { id: item.id, key: item.key, attributes: item.attributes, links: item.links ?? {} });
    const known = item.kind === 'links' ? objects.get(item.id) : undefined;
    if (item.kind === 'links' && known !== undefined) {
      const targets = [...(known.links[item.link] ?? []), ...item.targets];
      objects.set(item.id, { ...known, links: { ...known.links, [item.link]: targets } });
    }
  }
  return objects;
}

export function idsOf(items: readonly Item[], kind: 'object' | 'gone' | 'unmatched'): readonly string[] {
  return items.flatMap((item) => (item.kind !== kind ? [] : item.kind === 'unmatched' ? item.ids : [item.id]));
}

export async function listing(session: Session, stream: string, marker?: Marker): Promise<ReadonlyMap<string, ReadObject>> {
  return objectsOf((await readWhole(session.readAll(stream, marker ?? (await session.mark(stream))))).items);
}

/**
 * What the engine would know after a delta: the state before, with the delta applied by the rules of the contract. Each `unmatched` id
 * that is known is read again, and so are objects that refer to one that was gone and returned.
 */
export async function applyDelta(
  session: Session,
  stream: string,
  before: ReadonlyMap<string, ReadObject>,
  since: Marker,
  goneAnywhere: ReadonlySet<string>,
): Promise<ReadonlyMap<string, ReadObject>> {
  const { items } = await readWhole(session.readChanges(stream, since, await session.mark(stream)));
  const after = new Map(before);
  for (const id of idsOf(items, 'gone')) after.delete(id);
  for (const [id, object] of objectsOf(items)) after.set(id, object);
  const again = idsOf(items, 'unmatched').filter((id) => before.has(id) && after.has(id));
  const verdicts = await session.readByIds(stream, again);
  for (const [id, found] of verdicts) {
    if (found.kind === 'out-of-scope' || found.kind === 'gone') after.delete(id);
    if (found.kind === 'found') for (const [key, object] of objectsOf([found.item, ...(found.more ?? [])])) after.set(key, object);
    if (found.kind === 'unknown') throw new Error(`Nobody knows ${id}: ${found.reason}`);
  }
  // The engine removes links to what is gone; links to what has returned are not believed again without a new read.
  for (const [id, object] of after) {
    const links = Object.fromEntries(
      Object.entries(object.links).map(([kind, targets]) => [kind, targets.filter((target) => !goneAnywhere.has(target))]),
    );
    const touched = Object.values(object.links)
      .flat()
      .some((target) => goneAnywhere.has(target));
    if (!touched) continue;
    const found = (await session.readByIds(stream, [id])).get(id);
    after.set(
      id,
      found?.kind === 'found' ? ([...objectsOf([found.item, ...(found.more ?? [])]).values()][0] ?? object) : { ...object, links },
    );
  }
  return after;
}

/** Comparable form: lists of links have no order. */
export function sorted(objects: ReadonlyMap<string, ReadObject>): readonly ReadObject[] {
  return [...objects.values()]
    .map((object) => ({
      ...object,
      links: Object.fromEntries(Object.entries(object.links).map(([kind, targets]) => [kind, targets.toSorted()])),
    }))
    .toSorted((one, other) => one.id.localeCompare(other.id));
}

export function replace(type: string, ...values: readonly string[]): Change {
  return new Change({ operation: 'replace', modification: new Attribute({ type, values: [...values] }) });
}

export function add(type: string, ...values: readonly string[]): Change {
  return new Change({ operation: 'add', modification: new Attribute({ type, values: [...values] }) });
}

export function remove(type: string, ...values: readonly string[]): Change {
  return new Change({ operation: 'delete', modification: new Attribute({ type, values: [...values] }) });
}

/** Takes an object out of the Deleted Objects container ([MS-ADTS] 3.1.1.5.3.7). */
export async function undelete(client: Client, domainDn: string, guid: string, dn: string): Promise<void> {
  const showDeleted = new Control('1.2.840.113556.1.4.417', { critical: true });
  const { searchEntries } = await client.search(
    `CN=Deleted Objects,${domainDn}`,
    { scope: 'one', filter: '(isDeleted=TRUE)', timeLimit: 0 },
    showDeleted,
  );
  const tombstone = searchEntries.find((entry) => entry.dn.toLowerCase().includes(`\\0adel:${guid}`));
  if (tombstone === undefined) throw new Error(`No tombstone of ${guid}`);
  await client.modify(tombstone.dn, [remove('isDeleted'), replace('distinguishedName', dn)], showDeleted);
}

/** A client that has signed in as administrator and must be unbound. */
export type { Client };
