import type { SourceValue } from '../../model/item.ts';
import type { Copy, Objects } from './copy.ts';
import { freshCopy } from './copy.ts';
import type { SeenObject } from './reading.ts';
import type { Trial } from './trial.ts';
import { demand } from './verdicts.ts';

/** Differences named in one message. */
const shown = 8;

/** The oracle: a copy that was kept up to date holds what a new one does after one complete read. */
export async function expectAsReadAnew(trial: Trial, copy: Copy, after: string): Promise<void> {
  const fresh = await freshCopy(trial);
  const found = differences(trial, copy.streams, fresh.streams);
  const unanswered = [...copy.held].map(([id, reason]) => `${id} could not be read by id: ${reason}`);
  expectNone([...found, ...unanswered], `${after}, the copy differs from a fresh complete read`);
}

/** Fails the check with the first of the differences. */
export function expectNone(found: readonly string[], what: string): void {
  const more = found.length > shown ? `; and ${found.length - shown} more` : '';
  demand(found.length === 0, `${what}: ${found.slice(0, shown).join('; ')}${more}`);
}

/**
 * What two copies differ in, as sentences. Neither the order of the values of an attribute nor that of links counts, volatile attributes do
 * not either, and links count only between objects that the copy has: an engine resolves references among what it knows.
 */
export function differences({ declarations }: Trial, kept: Objects, fresh: Objects): readonly string[] {
  const known = { kept: idsIn(kept), fresh: idsIn(fresh) };
  const found: string[] = [];
  for (const [stream, { volatile }] of declarations) {
    const [before, now] = [kept.get(stream) ?? new Map(), fresh.get(stream) ?? new Map()] as const;
    for (const id of before.keys()) if (!now.has(id)) found.push(`${stream} ${id} is still there`);
    for (const [id, object] of now) {
      const own = before.get(id);
      if (own === undefined) found.push(`${stream} ${id} is missing`);
      else found.push(...contentDifferences(own, object, new Set(volatile)), ...linkDifferences(own, object, known));
    }
  }
  return found;
}

/** What two states of one object differ in, links aside. */
export function contentDifferences(kept: SeenObject, fresh: SeenObject, volatile: ReadonlySet<string>): readonly string[] {
  const told = (name: string, own: unknown, other: unknown) =>
    `${name} of ${fresh.id} is ${JSON.stringify(own)} instead of ${JSON.stringify(other)}`;
  const names = [...new Set([...Object.keys(kept.attributes), ...Object.keys(fresh.attributes)])].filter((name) => !volatile.has(name));
  return [
    ...(kept.key === fresh.key ? [] : [told('the key', kept.key, fresh.key)]),
    ...names.flatMap((name) => {
      const [own, other] = [comparable(kept.attributes[name]), comparable(fresh.attributes[name])];
      return JSON.stringify(own) === JSON.stringify(other) ? [] : [told(name, own, other)];
    }),
  ];
}

/** Null is the same as absent, and values have no order. */
function comparable(value: SourceValue | undefined): SourceValue {
  return typeof value === 'object' && value !== null ? value.toSorted() : (value ?? null);
}

function linkDifferences(
  kept: SeenObject,
  fresh: SeenObject,
  known: { readonly kept: ReadonlySet<string>; readonly fresh: ReadonlySet<string> },
): readonly string[] {
  const kinds = new Set([...kept.links.keys(), ...fresh.links.keys()]);
  return [...kinds].flatMap((kind) => {
    const own = (kept.links.get(kind) ?? new Set()).intersection(known.kept);
    const other = (fresh.links.get(kind) ?? new Set()).intersection(known.fresh);
    const [extra, missing] = [[...own.difference(other)], [...other.difference(own)]];
    return [
      ...(extra.length > 0 ? [`${kind} of ${fresh.id} has too much: ${extra.join(', ')}`] : []),
      ...(missing.length > 0 ? [`${kind} of ${fresh.id} lacks ${missing.join(', ')}`] : []),
    ];
  });
}

function idsIn(objects: Objects): ReadonlySet<string> {
  return new Set([...objects.values()].flatMap((stream) => [...stream.keys()]));
}
