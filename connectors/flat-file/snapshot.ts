import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item } from '../../model/item.ts';
import type { ReadEnd } from '../connector.ts';
import { factsOf } from './content.ts';
import { fileFailure } from './failures.ts';
import { chosenFiles, missing } from './file-names.ts';
import { type FileReader, rowsOf } from './file-reader.ts';
import { type FileIdentity, type FilesPosition, isSameContent, linesOfAll } from './markers.ts';
import type { ObjectReader } from './object-reader.ts';
import { createSeenKeys } from './seen-keys.ts';
import type { FlatFileStreamSettings } from './settings.ts';
import type { StreamFiles } from './stream-files.ts';

/** Lines fewer than before that are nothing to ask about, however few there are. */
const shrinkFloor = 10;

export interface SnapshotOptions {
  readonly stream: string;
  readonly settings: FlatFileStreamSettings;
  readonly reader: FileReader;
  readonly objects: ObjectReader;
  readonly pageSize: number;
}

/** A stream whose files hold everybody, each time anew. */
export function snapshotFiles(options: SnapshotOptions): StreamFiles {
  const { settings, reader, objects, pageSize } = options;
  const { place, signal } = reader;
  const { proof } = settings;
  const chosen = () => chosenFiles(place, settings.files, proof.manifest);

  /** Every object, proven at the end. `since`: what was there before, which the files must not fall short of too far. */
  async function* list(since?: FilesPosition): AsyncGenerator<readonly Item[], ReadEnd> {
    const seen = createSeenKeys();
    const starts: { readonly file: string; readonly first: number }[] = [];
    let page: Item[] = [];
    let count = 0;
    let lines = 0;
    for (const file of await chosen()) {
      starts.push({ file, first: lines });
      const rows = rowsOf(reader, file, objects.columns);
      for (;;) {
        const step = await rows.next();
        if (step.done === true) {
          lines += step.value.lines + 1;
          break;
        }
        const row = step.value;
        requireContent(row.changetype, file, row.line);
        const { item, more } = objects.read(row, file);
        const before = seen.add(item.id, lines + row.line);
        if (before !== undefined) {
          const first = starts.findLast((start) => start.first < before) ?? { file, first: 0 };
          throw fileFailure(
            { file, line: row.line },
            `the row has the same ${settings.key} as line ${before - first.first} of ${first.file}`,
            'Nothing of it was applied, since nobody can tell which of them counts. Have each object written once.',
          );
        }
        count += 1;
        page.push(item, ...more);
        if (page.length < pageSize) continue;
        signal.throwIfAborted();
        yield page;
        page = [];
      }
    }
    requireEnough(options, { rows: count, lines: lines - starts.length, since });
    signal.throwIfAborted();
    if (page.length > 0) yield page;
    return { covers: 'listing', seal: { objects: count, server: place.identity } };
  }

  return {
    async position() {
      const files: FileIdentity[] = [];
      for (const name of await chosen()) files.push(await identityOf(reader, name));
      return { files };
    },
    readAll: () => list(),
    async *readChanges(since, upTo) {
      if (isSameContent(since, upTo)) return { covers: 'changes' };
      return yield* list(since);
    },
    async readByIds(ids) {
      const wanted = new Set(ids);
      const found = new Map<string, Found>();
      for (const file of await chosen()) {
        for await (const row of rowsOf(reader, file, objects.columns)) {
          const id = objects.idOf(row, file);
          if (!wanted.has(id)) continue;
          const { item, more } = objects.read(row, file);
          found.set(id, { kind: 'found', item, more });
          if (found.size === wanted.size) return found;
        }
      }
      // The files are whole, as their reader has shown: whom they do not name is not there.
      for (const id of wanted) if (!found.has(id)) found.set(id, { kind: 'gone' });
      return found;
    },
  };
}

/** What is in a file now, without making anything of it. */
export async function identityOf({ place }: FileReader, name: string): Promise<FileIdentity> {
  await using file = await place.open(name);
  if (file === undefined) throw missing(place, name);
  return { name, ...(await factsOf(file, name)) };
}

/** A record of LDIF that says how an entry was changed has no place among those that say what it is. */
function requireContent(changetype: string | undefined, file: string, line: number): void {
  if (changetype === undefined || changetype === 'add') return;
  throw fileFailure(
    { file, line },
    `it is a change record (changetype: ${changetype})`,
    'A snapshot has entries as they are. Have it exported anew.',
  );
}

interface Counts {
  readonly rows: number;
  readonly lines: number;
  readonly since: FilesPosition | undefined;
}

function requireEnough({ stream, settings: { files, proof } }: SnapshotOptions, { rows, lines, since }: Counts): void {
  if (rows < proof.minimumRows) {
    throw new TidemarkFailure('ListingIncomplete', `${files.join(', ')}: ${rows} rows, but minimumRows asks for ${proof.minimumRows}`, {
      stream,
      remedy: 'Nothing was applied. Have the files written whole, or lower proof.minimumRows of the stream.',
    });
  }
  if (since === undefined) return;
  const before = linesOfAll(since);
  const fewer = before - lines;
  if (fewer <= shrinkFloor || fewer <= (before * proof.maxShrinkPercent) / 100) return;
  throw new TidemarkFailure(
    'ListingIncomplete',
    `${files.join(', ')}: ${lines} lines, where there were ${before} before, which is more than maxShrinkPercent (${proof.maxShrinkPercent}) fewer`,
    {
      stream,
      remedy:
        'Nothing was applied. Have the files written whole. If so many are really gone, run a complete sync: its deletions are held for approval beyond the limits.',
    },
  );
}
