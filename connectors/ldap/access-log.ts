import { AndFilter, EqualityFilter, GreaterThanEqualsFilter, OrFilter, SubstringFilter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isAtOrBelow } from '../directory/distinguished-name.ts';
import { type Entry, values } from '../directory/entry.ts';
import { type ChangeLog, type LoggedChanges, type LogRecord, loggedChanges, renamedDn } from './change-log.ts';
import { type CsnSet, placeOf } from './csn.ts';
import { csnsOf, type DirectoryServer, readEntry } from './server.ts';

const attributes = ['objectClass', 'reqDN', 'reqNewDN', 'reqNewRDN', 'reqNewSuperior', 'reqEntryUUID', 'entryCSN'] as const;
const ofClass = (value: string): EqualityFilter => new EqualityFilter({ attribute: 'objectClass', value });

/**
 * What the access log (slapo-accesslog(5)) tells since a set of positions. The changes that the positions stand for are among them: slapd
 * raises contextCSN before it writes the record, so the run that took the position may have missed it. Of modifications those of a uid alone.
 *
 * @param floor where to begin, see `floorOf`
 */
export function readAccessLog(
  connection: DirectoryConnection,
  server: DirectoryServer,
  since: CsnSet,
  floor: string,
  pageSize: number,
): Promise<LoggedChanges> {
  return loggedChanges(recordsSince(connection, server, since, floor, pageSize));
}

async function* recordsSince(
  connection: DirectoryConnection,
  server: DirectoryServer,
  since: CsnSet,
  floor: string,
  pageSize: number,
): AsyncGenerator<LogRecord, void> {
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
      const id = value('reqEntryUUID')?.toLowerCase();
      if (kind === 'auditModify') {
        yield { kind: 'modified', id, uidChanged: true };
        continue;
      }
      if (id === undefined) throw withoutIds(connection.host, server);
      const isNew = place === 'after';
      if (kind === 'auditDelete') yield { kind: 'deleted', id };
      else if (kind === 'auditModRDN') yield { kind: 'renamed', id, dn, to: newDnOf(record, dn), isNew };
      else yield { kind: 'created', id, dn, isNew };
    }
  }
}

function newDnOf(record: Entry, dn: string): string {
  const [newDn, newRdn, superior] = ['reqNewDN', 'reqNewRDN', 'reqNewSuperior'].map((attribute) => values(record, attribute)[0]);
  return newDn ?? renamedDn(dn, newRdn, superior);
}

/** The log of OpenLDAP's overlay accesslog. */
export function accessLog(connection: DirectoryConnection, server: DirectoryServer): ChangeLog {
  const isReadable = (): Promise<boolean> => readsLog(connection, server);
  return {
    deletedAmong: (ids) => loggedDeletions(connection, server, ids),
    check: async () => [
      (await isReadable())
        ? { severity: 'ok', subject: 'deletions', message: `The access log ${server.accessLogDn} can be read.` }
        : {
            severity: 'failure',
            subject: 'deletions',
            message: `There is no access log ${server.accessLogDn}, or the account may not read it, so deltas would miss deletions.`,
            remedy: logRemedy(server),
            failure: 'RightsMissing',
          },
    ],
    async requireReadable() {
      if (await isReadable()) return;
      throw new TidemarkFailure(
        'RightsMissing',
        `The account may not read the access log ${server.accessLogDn} on ${connection.host}, or there is none, so deletions would go unnoticed`,
        { remedy: logRemedy(server) },
      );
    },
  };
}

async function loggedDeletions(
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
async function readsLog(connection: DirectoryConnection, server: DirectoryServer): Promise<boolean> {
  const container = await readEntry(connection, server.accessLogDn, 'objectClass', 'the access log');
  return container !== undefined && values(container, 'objectClass').length > 0;
}

function logRemedy(server: Pick<DirectoryServer, 'accessLogDn'>): string {
  return `Put the overlay accesslog on the database, with logops writes and logsuccess TRUE, let the account read ${server.accessLogDn} without limits, or set deletions: none.`;
}

function withoutIds(host: string, server: DirectoryServer): TidemarkFailure {
  return new TidemarkFailure('RightsMissing', `The access log of ${host} does not say which entries its records are about (reqEntryUUID)`, {
    remedy: `Let the account read all attributes below ${server.accessLogDn}. OpenLDAP before 2.5 does not record them: set deletions: none.`,
  });
}
