import type { Finding } from '../connector.ts';
import { parentOf } from '../directory/distinguished-name.ts';

/** An entry's DN before and after it got another name or place. */
export interface Renaming {
  readonly id: string;
  readonly from: string;
  readonly to: string;
}

/** What a server's log of changes tells of the changes since a position that entries themselves do not tell. */
export interface LoggedChanges {
  /** entryUUIDs of deleted entries; some may exist again. */
  readonly deleted: readonly string[];
  /** entryUUIDs of entries that were created or got another name or place. */
  readonly named: readonly string[];
  /** Those of them that did so after the position, and not as the very change that it stands for. */
  readonly newlyNamed: readonly string[];
  /** DNs that mean another entry than before, or one for the first time: those of created entries, and the old and new ones of renamed entries. */
  readonly dns: readonly string[];
  /** What was renamed, in the order in which it was. */
  readonly renamed: readonly Renaming[];
  /** entryUUIDs of entries that changed in any way but by deletion, as far as the log gives them. */
  readonly changed: readonly string[];
  /** Some uid was changed, or may have been, other than by renaming. */
  readonly uidChanged: boolean;
}

/** One change as a log tells it. `isNew`: it is none that the position stands for. */
export type LogRecord =
  | { readonly kind: 'deleted'; readonly id: string }
  | { readonly kind: 'created'; readonly id: string; readonly dn: string; readonly isNew: boolean }
  | { readonly kind: 'renamed'; readonly id: string; readonly dn: string; readonly to: string; readonly isNew: boolean }
  | { readonly kind: 'modified'; readonly id: string | undefined; readonly uidChanged: boolean };

/** What the records of a log say together. They come in the order of the changes. */
export async function loggedChanges(records: AsyncIterable<LogRecord>): Promise<LoggedChanges> {
  const deleted: string[] = [];
  const named: string[] = [];
  const newlyNamed: string[] = [];
  const dns: string[] = [];
  const renamed: Renaming[] = [];
  const changed = new Set<string>();
  let uidChanged = false;
  for await (const record of records) {
    if (record.kind === 'deleted') {
      deleted.push(record.id);
      continue;
    }
    if (record.id !== undefined) changed.add(record.id);
    if (record.kind === 'modified') {
      uidChanged ||= record.uidChanged;
      continue;
    }
    named.push(record.id);
    if (record.isNew) newlyNamed.push(record.id);
    dns.push(record.dn);
    if (record.kind !== 'renamed') continue;
    dns.push(record.to);
    renamed.push({ id: record.id, from: record.dn, to: record.to });
  }
  return { deleted, named, newlyNamed, dns, renamed, changed: [...changed], uidChanged };
}

/** A log of changes that a server keeps, as far as it does not matter which: the access log of OpenLDAP, the retro changelog of 389 Directory Server. */
export interface ChangeLog {
  /** Which of these ids the log knows to have been deleted. */
  deletedAmong(ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** Whether the account reads the log, and finds there what deltas need. */
  check(): Promise<readonly Finding[]>;
  /** Fails with `RightsMissing` unless the account reads the log. What may not be seen is left out without an error. */
  requireReadable(): Promise<void>;
}

/** The DN that an entry has after a modify DN operation (RFC 4511 4.9). */
export function renamedDn(dn: string, newRdn: string | undefined, newSuperior: string | undefined): string {
  return `${newRdn},${newSuperior ?? parentOf(dn)}`;
}
