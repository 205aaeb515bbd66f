import { AndFilter, EqualityFilter, type Filter, GreaterThanEqualsFilter, LessThanEqualsFilter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Finding } from '../connector.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isAtOrBelow } from '../directory/distinguished-name.ts';
import { type Entry, values } from '../directory/entry.ts';
import { type ChangeLog, type LoggedChanges, type LogRecord, loggedChanges, renamedDn } from './change-log.ts';
import type { ChangePosition } from './change-number.ts';
import { type DirectoryServer, readEntry } from './server.ts';

/** Where 389 Directory Server's Retro Changelog plug-in keeps its records (draft-good-ldap-changelog). Nothing but the plug-in writes there. */
const logDn = 'cn=changelog';

/** Under this name a record carries the entryUUID of the entry it is about, see {@link idRemedy}. */
const targetId = 'targetEntryUUID';

/** Numbers in one search; also how far lastChangeNumber may be ahead of the records, since no server has so many threads. */
const numbersAtOnce = 500n;

/** The retro changelog of 389 Directory Server. */
export function retroChangelog(connection: DirectoryConnection): ChangeLog {
  const deletedIds = deletions(connection);
  return {
    async deletedAmong(ids) {
      const deleted = await deletedIds();
      return new Set(ids.filter((id) => deleted.has(id)));
    },
    check: () => checkLog(connection),
    async requireReadable() {
      await readLastChange(connection);
    },
  };
}

/**
 * The last change on record. A record that is found was committed, with the change it is about and all records before it: writing one
 * rewrites the log's topmost entry, which stays locked until the transaction ends. lastChangeNumber alone would not do: it goes ahead of that,
 * and a number whose transaction fails is given again. Fails with `RightsMissing` if the log is not kept or can't be read.
 */
export async function readLastChange(connection: DirectoryConnection): Promise<ChangePosition> {
  const announced = await announcedNumbers(connection);
  if (announced === undefined) {
    throw new TidemarkFailure('RightsMissing', `${connection.host} keeps no retro changelog: its root entry shows no lastChangeNumber`, {
      remedy: pluginRemedy,
    });
  }
  const top = (await readEntry(connection, logDn, 'nsUniqueId', 'the retro changelog'))?.attributes[0]?.text();
  if (top === undefined) throw unreadable(connection.host);
  if (announced.last === 0n) return { number: 0n, recordId: top };
  // Changes that are under way, or failed, have no record.
  const last = (await recordsFrom(connection, announced.last)) ?? (await recordsFrom(connection, announced.last - numbersAtOnce));
  if (last === undefined) throw unreadable(connection.host);
  return last;
}

/** The last of the records from a number on. */
async function recordsFrom(connection: DirectoryConnection, number: bigint): Promise<ChangePosition | undefined> {
  let last: ChangePosition | undefined;
  const pages = connection.pages(
    { ...recordSearch(numberedFrom(number)), attributes: ['changeNumber', 'nsUniqueId'] },
    Number(numbersAtOnce),
  );
  for await (const page of pages) {
    for (const record of page) {
      const recordId = values(record, 'nsUniqueId')[0];
      const found = numberOf(record);
      if (recordId !== undefined && found > (last?.number ?? 0n)) last = { number: found, recordId };
    }
  }
  return last;
}

/** Whether the log still holds the very change that a position stands for. As it is purged from its beginning, it holds all since, too. */
export async function holdsChange(connection: DirectoryConnection, { number, recordId }: ChangePosition): Promise<boolean> {
  if (number === 0n) {
    const top = await readEntry(connection, logDn, 'nsUniqueId', 'the retro changelog');
    const first = (await announcedNumbers(connection))?.first ?? 0n;
    return top?.attributes[0]?.text() === recordId && first <= 1n;
  }
  const filter = new EqualityFilter({ attribute: 'changeNumber', value: String(number) });
  const [record] = await connection.search({ ...recordSearch(filter), attributes: ['nsUniqueId'] }, 'empty');
  return record !== undefined && values(record, 'nsUniqueId')[0] === recordId;
}

/** Numbers of the first and the last change, as the root entry gives them: not exact, see {@link readLastChange}. `undefined`: the plug-in is off. */
export async function announcedNumbers(
  connection: DirectoryConnection,
): Promise<{ readonly first: bigint; readonly last: bigint } | undefined> {
  const [root] = await connection.search({
    base: '',
    scope: 'base',
    attributes: ['firstChangeNumber', 'lastChangeNumber'],
    what: 'the numbers of the retro changelog',
  });
  const [first, last] = ['firstChangeNumber', 'lastChangeNumber'].map((name) => (root === undefined ? undefined : values(root, name)[0]));
  return last === undefined ? undefined : { first: BigInt(first ?? 0), last: BigInt(last) };
}

/**
 * What the log tells of the changes after one position, up to another, in the order of their numbers.
 *
 * @param withUids whether it matters that somebody's uid was changed; `changes`, which may hold anything, is read for nothing else
 */
export async function readRetroChangelog(options: {
  readonly connection: DirectoryConnection;
  readonly server: DirectoryServer;
  readonly since: ChangePosition;
  readonly upTo: ChangePosition;
  readonly withUids: boolean;
}): Promise<LoggedChanges> {
  const { connection, since } = options;
  const changes = await loggedChanges(recordsAfter(options));
  // What was purged meanwhile, or is no longer shown, was left out without an error.
  if (await holdsChange(connection, since)) return changes;
  throw new TidemarkFailure('ServerChanged', `The retro changelog of ${connection.host} lost the marker's change while it was read`, {
    remedy: 'Nothing: the run begins again and reads completely. Give the log a longer nsslapd-changelogmaxage if it happens often.',
  });
}

async function* recordsAfter({
  connection,
  server,
  since,
  upTo,
  withUids,
}: Parameters<typeof readRetroChangelog>[0]): AsyncGenerator<LogRecord, void> {
  const attributes = ['changeNumber', 'changeType', 'targetDn', 'newRdn', 'newSuperior', targetId, ...(withUids ? ['changes'] : [])];
  for await (const page of windows(connection, since.number + 1n, upTo.number, attributes)) {
    const found: { readonly number: bigint; readonly record: LogRecord }[] = [];
    for (const entry of page) {
      const record = recordOf(entry, connection.host, server, withUids);
      if (record !== undefined) found.push({ number: numberOf(entry), record });
    }
    // RFC 4511 4.5.2: a search gives entries in any order.
    found.sort((one, other) => (one.number < other.number ? -1 : 1));
    for (const { record } of found) yield record;
  }
}

/**
 * The records from one number to another, some numbers at a time: a server refuses to look through a range of more than 5,000 for an account without
 * limits of its own (nsslapd-rangelookthroughlimit).
 */
async function* windows(
  connection: DirectoryConnection,
  from: bigint,
  to: bigint,
  attributes: readonly string[],
  more: readonly Filter[] = [],
): AsyncGenerator<readonly Entry[], void> {
  for (let start = from; start <= to; start += numbersAtOnce) {
    const end = start + numbersAtOnce - 1n;
    const numberedTo = new LessThanEqualsFilter({ attribute: 'changeNumber', value: String(end < to ? end : to) });
    const filter = new AndFilter({ filters: [numberedFrom(start), numberedTo, ...more] });
    const window: Entry[] = [];
    for await (const page of connection.pages({ ...recordSearch(filter), attributes }, Number(numbersAtOnce))) window.push(...page);
    yield window;
  }
}

function recordOf(entry: Entry, host: string, server: DirectoryServer, withUids: boolean): LogRecord | undefined {
  const value = (attribute: string): string | undefined => values(entry, attribute)[0];
  const dn = value('targetDn');
  const kind = value('changeType')?.toLowerCase();
  if (dn === undefined || kind === undefined) throw unreadable(host);
  const to = kind === 'modrdn' ? renamedDn(dn, value('newRdn'), value('newSuperior')) : dn;
  if (!isAtOrBelow(dn, server.suffix) && !isAtOrBelow(to, server.suffix)) return undefined;
  const id = value(targetId)?.toLowerCase();
  if (id === undefined) throw withoutIds(host);
  switch (kind) {
    case 'delete':
      return { kind: 'deleted', id };
    case 'add':
      return { kind: 'created', id, dn, isNew: true };
    case 'modrdn':
      return { kind: 'renamed', id, dn, to, isNew: true };
    default: {
      const changes = withUids ? value('changes') : '';
      return { kind: 'modified', id, uidChanged: changes === undefined || /^(?:add|delete|replace): uid$/im.test(changes) };
    }
  }
}

/**
 * All ids that the log shows the deletion of. They are not searched for: the server takes a condition on an attribute that its schema does not
 * know for false, without an error, and so it is with that of the ids. Each call reads what came since the last.
 */
function deletions(connection: DirectoryConnection): () => Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let last = 0n;
  return async () => {
    const isDeletion = new EqualityFilter({ attribute: 'changeType', value: 'delete' });
    const attributes = ['changeNumber', targetId];
    const pages =
      last === 0n
        ? connection.pages({ ...recordSearch(isDeletion), attributes }, 1_000)
        : windows(connection, last + 1n, (await announcedNumbers(connection))?.last ?? 0n, attributes, [isDeletion]);
    for await (const page of pages) {
      for (const record of page) {
        for (const id of values(record, targetId)) ids.add(id.toLowerCase());
        const number = numberOf(record);
        if (number > last) last = number;
      }
    }
    return ids;
  };
}

async function checkLog(connection: DirectoryConnection): Promise<readonly Finding[]> {
  const failed = (failure: TidemarkFailure): readonly Finding[] => [
    {
      severity: 'failure',
      subject: 'changelog',
      message: `${failure.message}.`,
      ...(failure.details.remedy === undefined ? {} : { remedy: failure.details.remedy }),
      failure: 'RightsMissing',
    },
  ];
  let last: ChangePosition;
  try {
    last = await readLastChange(connection);
  } catch (error) {
    if (error instanceof TidemarkFailure && error.type === 'RightsMissing') return failed(error);
    throw error;
  }
  if (last.number > 0n) {
    const filter = new EqualityFilter({ attribute: 'changeNumber', value: String(last.number) });
    const [record] = await connection.search({ ...recordSearch(filter), attributes: [targetId, 'changeType', 'targetDn'] });
    if (record !== undefined && values(record, 'changeType').length + values(record, 'targetDn').length < 2)
      return failed(unreadable(connection.host));
    if (record !== undefined && values(record, targetId).length === 0) return failed(withoutIds(connection.host));
  }
  return [{ severity: 'ok', subject: 'changelog', message: `The retro changelog can be read, up to change ${last.number}.` }];
}

const numberedFrom = (number: bigint): Filter =>
  new GreaterThanEqualsFilter({ attribute: 'changeNumber', value: String(number < 1n ? 1n : number) });

const recordSearch = (filter: Filter) => ({ base: logDn, scope: 'one', filter, what: 'the retro changelog' }) as const;

const numberOf = (record: Entry): bigint => BigInt(values(record, 'changeNumber')[0] ?? 0);

const pluginRemedy =
  'Let 389 Directory Server keep one: dsconf INSTANCE plugin retro-changelog enable, then dsconf INSTANCE plugin retro-changelog add --attribute entryuuid:targetEntryUUID, and restart it. Other servers: set marker: modifyTimestamp.';

const idRemedy =
  'dsconf INSTANCE plugin retro-changelog add --attribute entryuuid:targetEntryUUID; dsconf INSTANCE plugin entryuuid fixup SUFFIX for entries that have none; restart the server, change some entry, and run a complete sync.';

// The server refuses rules that name an attribute which its schema does not know.
const readRemedy = `Let the account read it, as with ldapmodify: dn: ${logDn}, changetype: modify, add: aci, aci: (targetattr != "changes")(version 3.0; acl "tidemark"; allow (read, search, compare) userdn="ldap:///BINDDN";)`;

function unreadable(host: string): TidemarkFailure {
  return new TidemarkFailure(
    'RightsMissing',
    `The account may not read the retro changelog ${logDn} of ${host}, so changes would go unnoticed`,
    {
      remedy: readRemedy,
    },
  );
}

function withoutIds(host: string): TidemarkFailure {
  return new TidemarkFailure(
    'RightsMissing',
    `The retro changelog of ${host} does not say which entry a change is about (${targetId}), or the account may not read it`,
    { remedy: idRemedy },
  );
}
