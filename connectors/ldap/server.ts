import { TidemarkFailure } from '../../model/failure.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { isAtOrBelow } from '../directory/distinguished-name.ts';
import { type Entry, values } from '../directory/entry.ts';
import { type CsnSet, csnSet } from './csn.ts';
import type { LdapSettings } from './settings.ts';

/** What a server says about itself and the database that is read, and does not change while it runs. */
export interface DirectoryServer {
  /**
   * Markers are bound to the database, by the entryUUID of its suffix entry: replicas share it, and their change sequence numbers are the
   * same ones. A database that is made anew has another.
   */
  readonly identity: ServerIdentity;
  /** DN of the database's topmost entry. */
  readonly suffix: string;
  readonly schemaDn: string;
  /** DN of the access log. */
  readonly accessLogDn: string;
  /** What made it, for people: `OpenLDAP`, `389 Project`. */
  readonly product: string;
}

/** Reads what identifies a server's database. Fails with `InvalidConfiguration` or `RightsMissing`. */
export async function readServer(connection: DirectoryConnection, settings: LdapSettings): Promise<DirectoryServer> {
  const [root] = await connection.search({
    base: '',
    scope: 'base',
    attributes: ['namingContexts', 'subschemaSubentry', 'vendorName', 'objectClass'],
    what: 'the root entry',
  });
  const rootValues = (attribute: string): readonly string[] => (root === undefined ? [] : values(root, attribute));
  // The innermost: a directory may glue databases into each other.
  const suffix = rootValues('namingContexts')
    .filter((context) => isAtOrBelow(settings.baseDn, context))
    .sort((one, other) => other.length - one.length)[0];
  if (suffix === undefined) {
    throw new TidemarkFailure('InvalidConfiguration', `${connection.host} has no database that holds the base of the settings`, {
      remedy: `Set baseDn to a DN at or below one of its suffixes: ${rootValues('namingContexts').join('; ') || 'it shows none to this account'}.`,
    });
  }
  const [top] = await connection.search(
    { base: suffix, scope: 'base', attributes: ['entryUUID', 'auditContext'], what: 'the suffix entry' },
    'empty',
  );
  const id = top === undefined ? undefined : values(top, 'entryUUID')[0];
  if (top === undefined || id === undefined) {
    throw new TidemarkFailure('RightsMissing', `${connection.host} does not show the entryUUID of ${suffix} to this account`, {
      remedy: `Let the account read ${suffix} with its operational attributes. A server without entryUUID (RFC 4530) can not be used.`,
    });
  }
  return {
    identity: { id: id.toLowerCase(), name: connection.host },
    suffix,
    schemaDn: rootValues('subschemaSubentry')[0] ?? 'cn=Subschema',
    accessLogDn: settings.accessLogDn ?? values(top, 'auditContext')[0] ?? 'cn=accesslog',
    product: rootValues('vendorName')[0] ?? (rootValues('objectClass').includes('OpenLDAProotDSE') ? 'OpenLDAP' : 'LDAP'),
  };
}

/** How far the database has got: the suffix's contextCSN. `undefined` if it has none or the account may not see it. */
export async function readContextCsn(connection: DirectoryConnection, server: DirectoryServer): Promise<CsnSet | undefined> {
  return csnsOf(await readEntry(connection, server.suffix, 'contextCSN', 'contextCSN of the suffix'), 'contextCSN', 'last');
}

/** The set that an attribute of an entry holds; `undefined` without one. */
export function csnsOf(entry: Entry | undefined, attribute: string, keep: 'last' | 'first'): CsnSet | undefined {
  const set = entry === undefined ? undefined : csnSet(values(entry, attribute), keep);
  return set !== undefined && set.size > 0 ? set : undefined;
}

export async function readEntry(
  connection: DirectoryConnection,
  base: string,
  attribute: string,
  what: string,
): Promise<Entry | undefined> {
  return (await connection.search({ base, scope: 'base', attributes: [attribute], what }, 'empty'))[0];
}

/** Fails with `RightsMissing`: what deltas by change sequence numbers rely on is not to be seen. */
export function withoutContextCsn(connection: DirectoryConnection, server: DirectoryServer): TidemarkFailure {
  return new TidemarkFailure('RightsMissing', `${connection.host} shows no contextCSN of ${server.suffix}`, { remedy: contextCsnRemedy });
}

export const contextCsnRemedy =
  'OpenLDAP: put the overlay syncprov on the database and let the account read contextCSN of the suffix. 389 Directory Server: set marker: changeNumber. Other servers: set marker: modifyTimestamp.';
