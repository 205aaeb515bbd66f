import { EqualityFilter, OrFilter } from 'ldapts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { comparableDn } from '../directory/distinguished-name.ts';
import { values } from '../directory/entry.ts';
import type { ListedNames } from './listed-names.ts';
import { type NameIndex, nameIndex } from './name-index.ts';
import type { DirectoryServer } from './server.ts';

/** Finds the entries that references name. One serves one read: what a DN means is looked up once. */
export interface References extends Disposable {
  /** entryUUIDs of the entries with these DNs, one for each in their order; `undefined`: there is none. */
  byDn(dns: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** entryUUIDs of the entries with these uids, a list for each in their order. */
  byUid(uids: readonly string[]): Promise<readonly (readonly string[])[]>;
}

/** Look-ups under way at once on one connection. OpenLDAP works on many and lets a thousand wait. */
const lookupsAtOnce = 50;

/**
 * Unknown DNs beyond which one listing of the whole database is quicker than looking each of them up: a listing reads dozens of names in the
 * time of one look-up. A complete read is likely to be one of much of the database, a delta of little.
 */
const listFrom = { all: 2_000, changes: 20_000 };

/** Names in one search. */
const uidsAtOnce = 100;

/**
 * @param connect gives a connection on which nothing is listed meanwhile: OpenLDAP follows one paged listing on each
 * @param listed for a complete read the listing that the reads of a run share
 */
export function referencesOf(options: {
  readonly connect: () => Promise<DirectoryConnection>;
  readonly server: DirectoryServer;
  readonly baseDn: string;
  readonly pageSize: number;
  readonly read: keyof typeof listFrom;
  readonly listed: ListedNames;
}): References {
  const { connect, server, baseDn, pageSize, listed } = options;
  const lookedUp = nameIndex();
  const absent = new Set<string>();
  const idsByUid = new Map<string, readonly string[]>();
  const suffix = comparableDn(server.suffix);
  let names: NameIndex | undefined;
  let lookups = 0;

  const idOf = (key: string): string | undefined => names?.get(key) ?? lookedUp.get(key);

  async function lookUp(connection: DirectoryConnection, key: string, dn: string): Promise<void> {
    const [entry] = await connection.search({ base: dn, scope: 'base', attributes: ['entryUUID'], what: 'a referenced entry' }, 'empty');
    const id = entry === undefined ? undefined : values(entry, 'entryUUID')[0]?.toLowerCase();
    if (id === undefined) absent.add(key);
    else lookedUp.add(key, id);
  }
  async function listAll(): Promise<NameIndex> {
    const all = nameIndex();
    const connection = await connect();
    const pages = connection.pages(
      { base: server.suffix, scope: 'sub', attributes: ['entryUUID'], what: 'the names of all entries' },
      pageSize,
    );
    for await (const page of pages) {
      for (const entry of page) {
        const id = entry.attributes[0]?.text().toLowerCase();
        if (id !== undefined) all.add(comparableDn(entry.name), id);
      }
    }
    return all;
  }
  /** Looks up what is not known yet, and what a listing did not have: it may have come after it. */
  async function lookUpAll(unknown: ReadonlyMap<string, string>): Promise<void> {
    if (unknown.size === 0) return;
    const connection = await connect();
    const keys = [...unknown];
    for (let start = 0; start < keys.length; start += lookupsAtOnce) {
      await Promise.all(keys.slice(start, start + lookupsAtOnce).map(([key, dn]) => lookUp(connection, key, dn)));
    }
  }

  return {
    async byDn(dns) {
      const keys = dns.map(keyOf);
      const ids = keys.map(idOf);
      const unknown = new Map<string, string>();
      for (let index = 0; index < keys.length; index++) {
        const [key, dn] = [keys[index] as string, dns[index] as string];
        // What lies outside the database is not this directory's.
        if (ids[index] === undefined && !absent.has(key) && (key === suffix || key.endsWith(`,${suffix}`))) unknown.set(key, plainDn(dn));
      }
      if (unknown.size === 0) return ids;
      lookups += unknown.size;
      if (names === undefined && (listed.isThere || lookups > listFrom[options.read])) {
        names = await listed.get(listAll);
        for (const key of unknown.keys()) if (names.get(key) !== undefined) unknown.delete(key);
      }
      await lookUpAll(unknown);
      return keys.map((key, index) => ids[index] ?? idOf(key));
    },
    async byUid(uids) {
      const keys = uids.map((uid) => uid.toLowerCase());
      const unknown = [...new Set(keys)].filter((uid) => !idsByUid.has(uid));
      for (let start = 0; start < unknown.length; start += uidsAtOnce) {
        const batch = unknown.slice(start, start + uidsAtOnce);
        const found = new Map<string, string[]>(batch.map((uid) => [uid, []]));
        const filter = new OrFilter({ filters: batch.map((value) => new EqualityFilter({ attribute: 'uid', value })) });
        const search = { base: baseDn, scope: 'sub', filter, attributes: ['uid', 'entryUUID'], what: 'members by their uid' } as const;
        for await (const page of (await connect()).pages(search, pageSize)) {
          for (const entry of page) {
            const id = values(entry, 'entryUUID')[0]?.toLowerCase();
            if (id !== undefined) for (const uid of values(entry, 'uid')) found.get(uid.toLowerCase())?.push(id);
          }
        }
        for (const [uid, list] of found) idsByUid.set(uid, list);
      }
      return keys.map((uid) => idsByUid.get(uid) ?? []);
    },
    [Symbol.dispose]: () => listed[Symbol.dispose](),
  };
}

/** A value of uniqueMember may end in a bit string that tells apart whom a name was given to (RFC 4517 3.3.21). */
function plainDn(value: string): string {
  return value.endsWith("'B") ? value.replace(/#'[01]*'B$/, '') : value;
}

function keyOf(value: string): string {
  return comparableDn(plainDn(value));
}
