import { TidemarkFailure } from '../../model/failure.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import type { ChangeLog } from './change-log.ts';
import type { DirectoryServer } from './server.ts';
import { readContextCsn, readEntry, withoutContextCsn } from './server.ts';
import type { LdapSettings } from './settings.ts';

/** Whether the account sees a base, by an attribute that every stream needs. */
export async function seesBase(connection: DirectoryConnection, base: string): Promise<boolean> {
  const entry = await readEntry(connection, base, 'entryUUID', 'the base');
  return entry?.attributes.some(({ count }) => count > 0) ?? false;
}

/**
 * Fails with `RightsMissing` unless the account sees what every read relies on: the base, how far the database has got, and the log. What an
 * account may not see a directory leaves out without an error, so this is asked before and after each read.
 */
export async function requireRights(
  connection: DirectoryConnection,
  server: DirectoryServer,
  settings: LdapSettings,
  log: ChangeLog | undefined,
  base: string,
): Promise<void> {
  if (!(await seesBase(connection, base))) {
    throw new TidemarkFailure('RightsMissing', `The account does not see ${base} on ${connection.host}`, { remedy: baseRemedy });
  }
  if (settings.marker === 'csn' && (await readContextCsn(connection, server)) === undefined) throw withoutContextCsn(connection, server);
  await log?.requireReadable();
}

export const baseRemedy =
  'Correct baseDn or base, or let the account read it with its operational attributes (entryUUID, entryCSN, modifyTimestamp).';
