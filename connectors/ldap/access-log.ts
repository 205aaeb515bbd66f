import { AndFilter, EqualityFilter, GreaterThanEqualsFilter, OrFilter, SubstringFilter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isAtOrBelow, parentOf } from '../directory/distinguished-name.ts';
import { type Entry, values } from '../directory/entry.ts';
import { type CsnSet, placeOf } from './csn.ts';
import { csnsOf, type DirectoryServer, readEntry } from './server.ts';

/** An entry's DN before and after it got another name or place. */
export interface Renaming {
  readonly id: string;
  readonly from: string;
  readonly to: string;
}

/**
 * What the access log (slapo-accesslog(5)) tells of the changes since a set of positions that entries themselves do not tell. The changes that
 * the positions stand for are among them: slapd raises contextCSN before it writes the record, so the run that took the position may have
 * missed it.
 */
export interface LoggedChanges {
  /** entryUUIDs of deleted entries; some may exist again. */
  readonly deleted: readonly string[];
  /** entryUUIDs of entries that were created or got another name or place. */
  readonly named: readonly string[];
  /** Those of them that did so after the positions, and not as the very change that one of them stands for. */
  readonly newlyNamed: readonly string[];
  /** DNs that mean another entry than before, or one for the first time: those of created entries, and the old and new ones of renamed entries. */
  readonly dns: readonly string[];
  /** What was renamed, in the order in which it was. */
  readonly renamed: readonly Renaming[];
  /** Some uid was changed other than by renaming. */
  readonly uidChanged: boolean;
}

const attributes = ['objectClass', 'reqDN', 'reqNewDN', 'reqNewRDN', 'reqNewSuperior', 'reqEntryUUID', 'entryCSN'] as const;
const ofClass = (value: string): EqualityFilter => new EqualityFilter({ attribute: 'objectClass', value });

/** @param floor where to begin, see `floorOf` */
export async function readLog(
  connection: DirectoryConnection,
  server: DirectoryServer,
  since: CsnSet,
  floor: string,
  pageSize: number,
): Promise<LoggedChanges> {
  const deleted: string[] = [];
  const named: string[] = [];
  const newlyNamed: string[] = [];
  const dns: string[] = [];
  const renamed: Renaming[] = [];
  let uidChanged = false;
  const kinds = new OrFilter({
    filters: [
      ofClass('auditAdd'),
      ofClass('auditDelete'),
      ofClass('auditModRDN'),
      // reqMod is `uid:+ value`, `uid:- value` or `uid:= value`.
      new AndFilter({ filters: [ofClass('auditModify'), new SubstringFilter({ attribute: 'reqMod', initial: 'uid:' })] }),
    ],
  });
  const pages = connection.pages(
    {
      base: server.accessLogDn,
      scope: 'one',
      filter: new AndFilter({
        filters: [
          new GreaterThanEqualsFilter({ attribute: 'entryCSN', value: floor }),
          new EqualityFilter({ attribute: 'reqResult', value: '0' }),
          kinds,
        ],
      }),
      attributes,
      what: 'the access log',
    },
    pageSize,
  );
  for await (const page of pages) {
    for (const record of page) {
      const value = (attribute: string): string | undefined => values(record, attribute)[0];
      const dn = value('reqDN') ?? '';
      const place = placeOf(value('entryCSN') ?? '', since);
      if (place === 'before' || !isAtOrBelow(dn, server.suffix)) continue;
      const kind = values(record, 'objectClass').find((name) => name.startsWith('audit'));
      if (kind === 'auditModify') {
        uidChanged = true;
        continue;
      }
      const id = value('reqEntryUUID')?.toLowerCase();
      if (id === undefined) throw withoutIds(connection.host, server);
      if (kind === 'auditDelete') {
        deleted.push(id);
        continue;
      }
      named.push(id);
      if (place === 'after') newlyNamed.push(id);
      dns.push(dn);
      if (kind !== 'auditModRDN') continue;
      const to = newDnOf(record, dn);
      dns.push(to);
      renamed.push({ id, from: dn, to });
    }
  }
  return { deleted, named, newlyNamed, dns, renamed, uidChanged };
}

function newDnOf(record: Entry, dn: string): string {
  const [newDn, newRdn, superior] = ['reqNewDN', 'reqNewRDN', 'reqNewSuperior'].map((attribute) => values(record, attribute)[0]);
  return newDn ?? `${newRdn},${superior ?? parentOf(dn)}`;
}

/** Which of these ids the log knows to have been deleted. */
export async function loggedDeletions(
  connection: DirectoryConnection,
  server: DirectoryServer,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const pages = connection.pages(
    {
      base: server.accessLogDn,
      scope: 'one',
      filter: new AndFilter({
        filters: [
          ofClass('auditDelete'),
          new OrFilter({ filters: ids.map((value) => new EqualityFilter({ attribute: 'reqEntryUUID', value })) }),
          new EqualityFilter({ attribute: 'reqResult', value: '0' }),
        ],
      }),
      attributes: ['reqEntryUUID'],
      what: 'deletions in the access log',
    },
    Math.max(ids.length, 2),
  );
  for await (const page of pages) for (const record of page) for (const id of values(record, 'reqEntryUUID')) found.add(id.toLowerCase());
  return found;
}

/** What a set of positions is to the log. */
export type LogCoverage =
  /** Every change since is recorded. */
  | { readonly kind: 'covered' }
  /** Records since were purged. */
  | { readonly kind: 'purged'; readonly from: string }
  /** The log has records from before a position, but not that of the position itself: what it tells of is another history. */
  | { readonly kind: 'foreign'; readonly csn: string }
  /** The log is not there, or the account may not read it. */
  | { readonly kind: 'unreadable' };

/**
 * Whether the log still tells everything since a set of positions: it holds the very change that each position stands for, or begins right
 * behind it (minCSN, from OpenLDAP 2.5). Positions that are those of `now` need no record: nothing has come after them.
 */
export async function logCoverage(
  connection: DirectoryConnection,
  server: DirectoryServer,
  since: CsnSet,
  now: CsnSet,
): Promise<LogCoverage> {
  const container = await readEntry(connection, server.accessLogDn, 'minCSN', 'the access log');
  if (container === undefined) return { kind: 'unreadable' };
  // Two numbers of one server may stand there; the log begins at the lower one.
  const from = csnsOf(container, 'minCSN', 'first');
  for (const [id, csn] of since) {
    if (now.get(id) === csn || from?.get(id) === csn) continue;
    if (await hasRecord(connection, server, csn)) continue;
    const first = from?.get(id);
    return first === undefined || first > csn ? { kind: 'purged', from: first ?? 'an unknown change' } : { kind: 'foreign', csn };
  }
  return { kind: 'covered' };
}

/** Whether the log holds the record of a change. */
export async function hasRecord(connection: DirectoryConnection, server: DirectoryServer, csn: string): Promise<boolean> {
  const found = await connection.search(
    {
      base: server.accessLogDn,
      scope: 'one',
      filter: new EqualityFilter({ attribute: 'entryCSN', value: csn }),
      attributes: ['1.1'],
      what: "the marker's own change in the access log",
    },
    'empty',
  );
  return found.length > 0;
}

/** Whether the account reads the log: its container, and if it has records, the attributes of one of them. */
export async function readsLog(connection: DirectoryConnection, server: DirectoryServer): Promise<boolean> {
  const container = await readEntry(connection, server.accessLogDn, 'objectClass', 'the access log');
  return container !== undefined && values(container, 'objectClass').length > 0;
}

/** Fails with `RightsMissing` unless the account reads the log. */
export async function requireLog(connection: DirectoryConnection, server: DirectoryServer): Promise<void> {
  if (await readsLog(connection, server)) return;
  throw new TidemarkFailure(
    'RightsMissing',
    `The account may not read the access log ${server.accessLogDn} on ${connection.host}, or there is none, so deletions would go unnoticed`,
    { remedy: logRemedy(server) },
  );
}

export function logRemedy(server: Pick<DirectoryServer, 'accessLogDn'>): string {
  return `Put the overlay accesslog on the database, with logops writes and logsuccess TRUE, let the account read ${server.accessLogDn} without limits, or set deletions: none.`;
}

function withoutIds(host: string, server: DirectoryServer): TidemarkFailure {
  return new TidemarkFailure('RightsMissing', `The access log of ${host} does not say which entries its records are about (reqEntryUUID)`, {
    remedy: `Let the account read all attributes below ${server.accessLogDn}. OpenLDAP before 2.5 does not record them: set deletions: none.`,
  });
}
