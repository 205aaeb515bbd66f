/**
 * The positions of one directory: per server id (three hexadecimal digits, `000` where one server alone takes changes) the change sequence
 * number of the last change by it. Numbers of one server are texts of one length that grow
 * (draft-chu-ldap-csn: `20261121191838.506027Z#000000#001#000000`, time, counter, server id, modification); those of different servers
 * can't be compared.
 */
export type CsnSet = ReadonlyMap<string, string>;

const form = /^\d{14}\.\d{6}Z#[0-9a-f]{6}#([0-9a-f]{3})#[0-9a-f]{6}$/i;

/** Server id of a number, or `undefined` if it is none. */
export function serverIdOf(csn: string): string | undefined {
  return form.exec(csn)?.[1]?.toLowerCase();
}

/** A set from its numbers; of several of one server `keep` names the one that counts. `undefined` if one of them is no number. */
export function csnSet(csns: readonly string[], keep: 'last' | 'first' = 'last'): CsnSet | undefined {
  const set = new Map<string, string>();
  for (const csn of csns) {
    const server = serverIdOf(csn);
    if (server === undefined) return undefined;
    const known = set.get(server);
    if (known === undefined || (keep === 'last' ? csn > known : csn < known)) set.set(server, csn);
  }
  return set;
}

/** The text of a set, the same for equal sets: a marker's position. */
export function csnSetText(set: CsnSet): string {
  return [...set.values()].sort().join(' ');
}

/** The inverse of {@link csnSetText}; `undefined` for anything but a set that is not empty. */
export function parseCsnSet(text: string): CsnSet | undefined {
  const set = text === '' ? undefined : csnSet(text.split(' '));
  return set !== undefined && set.size > 0 ? set : undefined;
}

/**
 * The number from which all changes since a set are found in one search, although numbers of different servers can't be compared: the least
 * one of those servers that have made changes since. Without it a server that is long out of use would make every delta read everything.
 */
export function floorOf(since: CsnSet, now: CsnSet): string {
  const advanced = [...since].filter(([server, csn]) => (now.get(server) ?? csn) > csn).map(([, csn]) => csn);
  // Should contextCSN stand still although entries change, the last known number still finds them.
  return advanced.sort()[0] ?? [...since.values()].sort().at(-1) ?? '';
}

/** How a change lies to a set: `before` it, the very change it stands for (`at`), or `after` it. A server that the set does not know is after it. */
export function placeOf(csn: string, since: CsnSet): 'before' | 'at' | 'after' {
  const known = since.get(serverIdOf(csn) ?? '');
  if (known === undefined || csn > known) return 'after';
  return csn === known ? 'at' : 'before';
}
