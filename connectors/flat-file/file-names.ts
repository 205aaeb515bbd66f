import { fileFailure } from './failures.ts';
import type { Place } from './place.ts';
import type { Format } from './settings.ts';

/** Endings of names under which programs write files that they rename when they are whole. */
const unfinished = /^\.|\.(?:tmp|part|partial|filepart|crdownload|swp)$/i;

/** What the star of a name stands for in another name; `undefined` where that does not fit. A name without a star fits itself. */
export function starOf(pattern: string, name: string): string | undefined {
  const at = pattern.indexOf('*');
  if (at < 0) return name === pattern ? '' : undefined;
  const [begin, end] = [pattern.slice(0, at), pattern.slice(at + 1)];
  if (unfinished.test(name) || name.length < begin.length + end.length || !name.startsWith(begin) || !name.endsWith(end)) return undefined;
  return name.slice(begin.length, name.length - end.length);
}

/** The files that names stand for: themselves, or of those that fit a star the one that sorts last. Fails with `ListingIncomplete` if one is missing. */
export async function chosenFiles(place: Place, patterns: readonly string[], manifest: string | undefined): Promise<readonly string[]> {
  if (patterns.every((pattern) => !pattern.includes('*'))) return patterns;
  const names = await place.list();
  return patterns.map((pattern) => {
    if (!pattern.includes('*')) return pattern;
    const fitting = names.filter((name) => starOf(pattern, name) !== undefined && (manifest === undefined || !name.endsWith(manifest)));
    const last = fitting.sort().at(-1);
    if (last === undefined) throw missing(place, pattern);
    return last;
  });
}

export function missing(place: Place, name: string): Error {
  return fileFailure(
    { file: name },
    `there is no such file in ${place.identity.name}`,
    'Nothing was changed. Have it delivered, or correct files of the stream.',
  );
}

/** The format of a file by its name; `undefined` if the name does not tell. */
export function formatOf(name: string): Format | undefined {
  const ending = /\.([a-z]+)(?:\.gz)?$/i.exec(name)?.[1]?.toLowerCase();
  switch (ending) {
    case 'csv':
    case 'tsv':
    case 'jsonl':
    case 'ldif':
      return ending;
    case 'ndjson':
      return 'jsonl';
    default:
      return undefined;
  }
}
