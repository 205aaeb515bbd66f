import { AndFilter, type Filter, GreaterThanEqualsFilter, NotFilter, OrFilter, PresenceFilter } from 'ldapts';
import type { Item } from '../../model/item.ts';
import type { ReadEnd } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { comparableDn, isAtOrBelow, isSameDn, outermost, rebased } from '../directory/distinguished-name.ts';
import { type Entry, values } from '../directory/entry.ts';
import { generalizedTime } from '../directory/generalized-time.ts';
import { batches } from '../directory/items.ts';
import { scopeWithin } from '../directory/scope.ts';
import type { LoggedChanges } from './change-log.ts';
import { type CsnSet, csnSetText, floorOf, placeOf } from './csn.ts';
import type { DirectoryServer } from './server.ts';
import { anyOf, idsAtOnce, itemsOf, type StreamReader } from './stream-reader.ts';

/** From where a delta reads, and what the log of changes tells since. */
export type Since =
  | { readonly kind: 'csn'; readonly marked: CsnSet; readonly now: CsnSet; readonly log: LoggedChanges | undefined }
  | { readonly kind: 'modifyTimestamp'; readonly fromMs: number }
  /** The log tells of every change. */
  | { readonly kind: 'changeNumber'; readonly log: LoggedChanges };

/** DNs in one search for those who refer to them. */
const dnsAtOnce = 50;

/** More DNs than this are not looked for one by one: then everyone who refers to anything is read. */
const dnsAtMost = 2_000;

/** What changed at all, in the whole database and whatever a stream's filter says. */
export interface ChangeScan {
  readonly alive: ReadonlySet<string>;
  /** DNs of containers with another name or place, and perhaps others: all below them has another DN, although nothing there says so. */
  readonly containers: readonly string[];
  /** uids of entries that were created or renamed. */
  readonly uids: readonly string[];
}

/**
 * What changed in one stream since a marker. First what was deleted; then every entry that matches now and changed, lies below a renamed
 * container, or refers to an entry that has come to be called what it is; last the ids of all that changed and did not match.
 *
 * @param scan what changed at all; what comes after it is news for the next delta
 */
export async function* readChangesSince(options: {
  readonly connection: DirectoryConnection;
  readonly stream: StreamReader;
  readonly since: Since;
  readonly scan: ChangeScan;
  readonly pageSize: number;
}): AsyncGenerator<readonly Item[], ReadEnd> {
  const { connection, stream, since, scan, pageSize } = options;
  using references = stream.references();
  const changed = changedSince(since);
  const log = logOf(since);
  const deleted = new Set(log?.deleted);
  yield* batches(
    [...deleted].map((id): Item => ({ kind: 'gone', id, reason: "The server's log of changes shows its deletion." })),
    pageSize,
  );

  const unmatched = new Set([...scan.alive, ...(log?.newlyNamed ?? [])]);
  const given = new Set<string>();
  async function* give(pages: AsyncGenerator<readonly Item[], void>): AsyncGenerator<readonly Item[], void> {
    for await (const items of pages) {
      for (const item of items) {
        if (item.kind !== 'object') continue;
        unmatched.delete(item.id);
        given.add(item.id);
      }
      yield items;
    }
  }

  const dns = new Map((log?.dns ?? []).map((dn) => [comparableDn(dn), dn]));
  for (const container of outermost(scan.containers)) {
    // A container that has moved on or was deleted since the scan is no longer there: that is news for the next delta, whose scan finds it.
    for await (const { id, dn } of entriesBelow(connection, container, pageSize)) {
      unmatched.add(id);
      for (const former of namesOf(dn, log)) if (dns.size <= dnsAtMost) dns.set(comparableDn(former), former);
    }
    const within = scopeWithin(stream.plan, container);
    if (within !== undefined)
      yield* give(stream.search(references, stream.filter, within, within.base === container ? 'empty' : undefined));
  }
  if (scan.alive.size > 0) {
    if (changed !== undefined) yield* give(stream.search(references, new AndFilter({ filters: [stream.filter, changed] })));
    else for await (const page of stream.byIds(references, [...scan.alive])) yield* give(asPages(itemsOf(page)));
  }
  // Taken back under their former ids, with whatever change number.
  const returned = [...deleted, ...(log?.newlyNamed ?? [])].filter((id) => !scan.alive.has(id) && !given.has(id));
  for await (const page of stream.byIds(references, returned)) yield* give(asPages(itemsOf(page)));
  // Those that changed themselves were just read.
  for (const filter of referrers(stream, [...dns.values()], [...scan.uids, ...rdnUids(log)], log?.uidChanged ?? false))
    yield* give(
      stream.search(
        references,
        new AndFilter({ filters: [stream.filter, filter, ...(changed === undefined ? [] : [new NotFilter({ filter: changed })])] }),
      ),
    );

  for (const id of deleted) unmatched.delete(id);
  const ids = [...unmatched];
  for (let start = 0; start < ids.length; start += pageSize) yield [{ kind: 'unmatched', ids: ids.slice(start, start + pageSize) }];
  return { covers: 'changes' };
}

/** The condition "changed since", inclusive. `undefined`: entries do not tell, the log names them. */
function changedSince(since: Since): Filter | undefined {
  if (since.kind === 'changeNumber') return undefined;
  return since.kind === 'csn'
    ? new GreaterThanEqualsFilter({ attribute: 'entryCSN', value: floorOf(since.marked, since.now) })
    : new GreaterThanEqualsFilter({ attribute: 'modifyTimestamp', value: generalizedTime(since.fromMs).replace('.0Z', 'Z') });
}

/**
 * Whether nothing is known to have changed. The entry that the marker stands for is then left alone: it may be a group of a hundred thousand
 * members, and every delta would read it until something else changes.
 */
function isIdle(since: Since): boolean {
  return since.kind === 'csn' && csnSetText(since.marked) === csnSetText(since.now);
}

function logOf(since: Since): LoggedChanges | undefined {
  return since.kind === 'modifyTimestamp' ? undefined : since.log;
}

/** Looks for all that changed since a marker. */
export async function scanChanges(options: {
  readonly connection: DirectoryConnection;
  readonly server: DirectoryServer;
  readonly since: Since;
  /** Whether any stream refers to entries by their uid. */
  readonly withUids: boolean;
  readonly pageSize: number;
}): Promise<ChangeScan> {
  const { connection, server, since, pageSize } = options;
  const [changed, log] = [changedSince(since), logOf(since)];
  const named = new Set(log?.named);
  const idle = isIdle(since);
  const renamed = new Set(log?.renamed.map(({ id }) => id));
  const alive = new Set<string>();
  const containers: string[] = [];
  const uids: string[] = [];
  const look = (entry: Entry): void => {
    const id = values(entry, 'entryUUID')[0]?.toLowerCase();
    if (id === undefined) return;
    const place = since.kind === 'csn' ? placeOf(values(entry, 'entryCSN')[0] ?? '', since.marked) : 'after';
    if (place === 'before') return;
    if (named.has(id)) uids.push(...values(entry, 'uid'));
    // Without a log every changed container may have been renamed; the one that the marker itself stands for was read by the run before.
    const inDoubt = log === undefined ? place === 'after' : renamed.has(id);
    if (inDoubt && values(entry, 'hasSubordinates')[0] === 'TRUE' && !isSameDn(entry.name, server.suffix)) containers.push(entry.name);
    if (!(place === 'at' && idle)) alive.add(id);
  };
  const attributes = ['entryUUID', 'entryCSN', 'hasSubordinates', ...(options.withUids ? ['uid'] : [])];
  const ids = log?.changed ?? [];
  // In parts, as servers do not like long conditions.
  const filters =
    changed !== undefined
      ? [changed]
      : Array.from({ length: Math.ceil(ids.length / idsAtOnce) }, (_, index) =>
          anyOf('entryUUID', ids.slice(index * idsAtOnce, (index + 1) * idsAtOnce)),
        );
  const base = { base: server.suffix, scope: 'sub', attributes, what: 'all changes since the marker' } as const;
  for (const filter of filters)
    for await (const page of connection.pages({ ...base, filter }, pageSize)) for (const entry of page) look(entry);
  return { alive, containers, uids };
}

async function* entriesBelow(
  connection: DirectoryConnection,
  base: string,
  pageSize: number,
): AsyncGenerator<{ readonly id: string; readonly dn: string }, void> {
  const search = { base, scope: 'sub', attributes: ['entryUUID'], what: 'what lies below a renamed container' } as const;
  for await (const page of connection.pages(search, pageSize, 'empty')) {
    for (const entry of page) {
      const id = values(entry, 'entryUUID')[0]?.toLowerCase();
      if (id !== undefined) yield { id, dn: entry.name };
    }
  }
}

/** A DN below a renamed container, and what it was called before, latest first. */
function namesOf(dn: string, log: LoggedChanges | undefined): readonly string[] {
  const names = [dn];
  let name = dn;
  for (const { from, to } of [...(log?.renamed ?? [])].reverse()) {
    if (!isAtOrBelow(name, to)) continue;
    name = rebased(name, to, from);
    names.push(name);
  }
  return names;
}

/** uids that entries got or lost with their names. */
function rdnUids(log: LoggedChanges | undefined): readonly string[] {
  return (log?.dns ?? []).flatMap((dn) => /^uid=([^,+\\]+)(?:,|$)/i.exec(dn)?.[1] ?? []);
}

/** Conditions for entries that refer to one of these; none if the stream has no references. */
function referrers(stream: StreamReader, dns: readonly string[], uids: readonly string[], uidChanged: boolean): readonly Filter[] {
  const { dnAttributes, uidAttributes } = stream.entries;
  return [...conditions(dnAttributes, dns, false), ...conditions(uidAttributes, uids, uidChanged)];
}

function conditions(attributes: readonly string[], targets: readonly string[], any: boolean): readonly Filter[] {
  if (attributes.length === 0) return [];
  if (any || targets.length > dnsAtMost)
    return [new OrFilter({ filters: attributes.map((attribute) => new PresenceFilter({ attribute })) })];
  return Array.from({ length: Math.ceil(targets.length / dnsAtOnce) }, (_, index) => {
    const some = targets.slice(index * dnsAtOnce, (index + 1) * dnsAtOnce);
    return new OrFilter({ filters: attributes.map((attribute) => anyOf(attribute, some)) });
  });
}

async function* asPages(pages: Iterable<readonly Item[]>): AsyncGenerator<readonly Item[], void> {
  yield* pages;
}
