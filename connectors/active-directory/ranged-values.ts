import type { DirectoryConnection } from '../directory/connection.ts';
import type { EntryAttribute } from '../directory/entry.ts';
import { domainScope, extendedDn } from './controls.ts';
import type { ExtendedDn } from './extended-dn.ts';

/** The values an answer holds: `last` is `*` if there are no more. */
export interface ValueRange {
  readonly first: number;
  readonly last: number | '*';
}

/** The name in an attribute description, without its range. */
export function withoutRange(description: string): string {
  return description.replace(/;range=\d+-(?:\d+|\*)/i, '');
}

/** The range in an attribute description such as `member;range=0-1499` ([MS-ADTS] 3.1.1.3.1.3.3), or `undefined` if it has none. */
export function parseRange(description: string): ValueRange | undefined {
  const match = /;range=(\d+)-(\d+|\*)(?:;|$)/i.exec(description);
  if (!match) return undefined;
  return { first: Number(match[1]), last: match[2] === '*' ? '*' : Number(match[2]) };
}

/**
 * The values of an attribute from `start` on, one part a range, until the server says that there are no more. Values that change meanwhile
 * may shift between ranges: that change is newer than the run's marker, so the next delta reads the object again.
 * `undefined` if the server shows no values any more before it said so: the object was deleted, its list became shorter than `start`, or
 * the account lost the right to see it. What was read so far must not pass for the whole.
 */
export async function readRest(
  connection: DirectoryConnection,
  object: ExtendedDn,
  attribute: string,
  start: number,
  step: number,
): Promise<readonly EntryAttribute[] | undefined> {
  const collected: EntryAttribute[] = [];
  let next: number | '*' = start;
  while (next !== '*') {
    const [entry] = await connection.search(
      {
        base: object.guid === undefined ? object.dn : `<GUID=${object.guid}>`,
        scope: 'base',
        attributes: [`${attribute};range=${next}-${next + step - 1}`],
        controls: [domainScope(), extendedDn()],
        what: `the rest of ${attribute}`,
      },
      'empty',
    );
    const answer = entry?.attributes.find(({ type }) => parseRange(type) !== undefined);
    if (answer === undefined) return undefined;
    collected.push(answer);
    const last = parseRange(answer.type)?.last ?? '*';
    next = last === '*' ? '*' : last + 1;
  }
  return collected;
}
