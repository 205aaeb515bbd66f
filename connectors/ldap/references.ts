import { EqualityFilter, OrFilter } from 'ldapts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { comparableDn } from '../directory/distinguished-name.ts';
import { values } from '../directory/entry.ts';
import type { DirectoryServer } from './server.ts';

/**
 * Finds the entries that references name. One serves one read: what a DN means is looked up once.
 */
export interface References {
  /** Looks up what is not known yet. */
  resolve(dns: Iterable<string>, uids: Iterable<string>): Promise<void>;
  /** entryUUID of the entry with a DN that was resolved, or `undefined` if there is none. */
  byDn(dn: string): string | undefined;
  /** entryUUIDs of the entries with a uid that was resolved. */
  byUid(uid: string): readonly string[];
}

/** Look-ups under way at once on one connection. OpenLDAP works on many and lets a thousand wait. */
const lookupsAtOnce = 50;

/** Unknown DNs beyond which one listing of the whole database is quicker than looking each of them up. */
const listFrom = 20_000;

/** Names in one search. */
const uidsAtOnce = 100;

/**
 * @param connect gives a connection on which nothing is listed meanwhile: OpenLDAP follows one paged listing on each
 */
export function referencesOf(
  connect: () => Promise<DirectoryConnection>,
  server: DirectoryServer,
  baseDn: string,
  pageSize: number,
): References {
  const ids = new Map<string, string | undefined>();
  const idsByUid = new Map<string, readonly string[]>();
  const suffix = comparableDn(server.suffix);
  let listed = false;
  let lookups = 0;

  async function lookUp(connection: DirectoryConnection, key: string, dn: string): Promise<void> {
    const [entry] = await connection.search({ base: dn, scope: 'base', attributes: ['entryUUID'], what: 'a referenced entry' }, 'empty');
    ids.set(key, entry === undefined ? undefined : values(entry, 'entryUUID')[0]?.toLowerCase());
  }
  async function listAll(): Promise<void> {
    listed = true;
    const connection = await connect();
    const pages = connection.pages(
      { base: server.suffix, scope: 'sub', attributes: ['entryUUID'], what: 'the names of all entries' },
      pageSize,
    );
    for await (const page of pages) {
      for (const entry of page) {
        const key = comparableDn(entry.name);
        if (!ids.has(key)) ids.set(key, values(entry, 'entryUUID')[0]?.toLowerCase());
      }
    }
  }
  async function resolveDns(dns: Iterable<string>): Promise<void> {
    const unknown = new Map<string, string>();
    for (const dn of dns) {
      const key = keyOf(dn);
      if (ids.has(key) || unknown.has(key)) continue;
      // What lies outside the database is not this directory's.
      if (key === suffix || key.endsWith(`,${suffix}`)) unknown.set(key, plainDn(dn));
      else ids.set(key, undefined);
    }
    lookups += unknown.size;
    if (lookups > listFrom && !listed) {
      await listAll();
      for (const key of unknown.keys()) if (ids.has(key)) unknown.delete(key);
    }
    if (unknown.size === 0) return;
    const connection = await connect();
    const keys = [...unknown];
    for (let start = 0; start < keys.length; start += lookupsAtOnce) {
      await Promise.all(keys.slice(start, start + lookupsAtOnce).map(([key, dn]) => lookUp(connection, key, dn)));
    }
  }
  async function resolveUids(uids: Iterable<string>): Promise<void> {
    const unknown = [...new Set([...uids].map((uid) => uid.toLowerCase()))].filter((uid) => !idsByUid.has(uid));
    if (unknown.length === 0) return;
    const connection = await connect();
    for (let start = 0; start < unknown.length; start += uidsAtOnce) {
      const batch = unknown.slice(start, start + uidsAtOnce);
      const found = new Map<string, string[]>(batch.map((uid) => [uid, []]));
      const filter = new OrFilter({ filters: batch.map((value) => new EqualityFilter({ attribute: 'uid', value })) });
      const search = { base: baseDn, scope: 'sub', filter, attributes: ['uid', 'entryUUID'], what: 'members by their uid' } as const;
      for await (const page of connection.pages(search, pageSize)) {
        for (const entry of page) {
          const id = values(entry, 'entryUUID')[0]?.toLowerCase();
          if (id !== undefined) for (const uid of values(entry, 'uid')) found.get(uid.toLowerCase())?.push(id);
        }
      }
      for (const [uid, list] of found) idsByUid.set(uid, list);
    }
  }

  return {
    async resolve(dns, uids) {
      await resolveDns(dns);
      await resolveUids(uids);
    },
    byDn: (dn) => ids.get(keyOf(dn)),
    byUid: (uid) => idsByUid.get(uid.toLowerCase()) ?? [],
  };
}

/** A value of uniqueMember may end in a bit string that tells apart whom a name was given to (RFC 4517 3.3.21). */
function plainDn(value: string): string {
  return value.endsWith("'B") ? value.replace(/#'[01]*'B$/, '') : value;
}

function keyOf(value: string): string {
  return comparableDn(plainDn(value));
}
