import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item } from '../../model/item.ts';
import type { ReadEnd } from '../connector.ts';
import { fileFailure } from './failures.ts';
import { chosenFiles } from './file-names.ts';
import { identityOf, rowsOf } from './file-reader.ts';
import { type FileIdentity, type FilesPosition, isSameContent, linesOfAll } from './markers.ts';
import type { ReadObject } from './object-reader.ts';
import { pagesOf } from './pages.ts';
import type { Row } from './rows.ts';
import { createSeenKeys } from './seen-keys.ts';
import type { StreamFiles, StreamFilesOptions } from './stream-files.ts';

/** Lines fewer than before that are nothing to ask about, however few there are. */
const shrinkFloor = 10;

/** A stream whose files hold everybody, each time anew. */
export function snapshotFiles(options: StreamFilesOptions): StreamFiles {
  const { settings, reader, objects, pageSize } = options;
  const { place, signal } = reader;
  const { proof } = settings;
  const chosen = () => chosenFiles(place, settings.files, proof.manifest);

  /** Every object, proven at the end. `since`: what was there before, which the files must not fall short of too far. */
  async function* list(upTo: FilesPosition, since?: FilesPosition): AsyncGenerator<readonly Item[], ReadEnd> {
    const seen = createSeenKeys();
    const files: FileIdentity[] = [];
    const starts: { readonly file: string; readonly first: number }[] = [];
    let count = 0;
    let lines = 0;

    const readOf = (row: Row, file: string): ReadObject => {
      requireContent(row.changetype, file, row.line);
      const read = objects.read(row, file);
      const before = seen.add(read.item.id, lines + row.line);
      if (before === undefined) return read;
      const first = starts.findLast((start) => start.first < before) ?? { file, first: 0 };
      throw fileFailure(
        { file, line: row.line },
        `the row has the same ${settings.key} as line ${before - first.first} of ${first.file}`,
        'Nothing of it was applied, since nobody can tell which of them counts. Have each object written once.',
      );
    };
    async function* all(): AsyncGenerator<readonly Item[], void> {
      for (const file of await chosen()) {
        starts.push({ file, first: lines });
        const rows = rowsOf(reader, file, objects.columns);
        for (;;) {
          const step = await rows.next();
          if (step.done === true) {
            files.push({ name: file, ...step.value });
            lines += step.value.lines + 1;
            break;
          }
          const items: Item[] = [];
          for (const row of step.value) {
            const { item, more } = readOf(row, file);
            items.push(item, ...more);
          }
          count += step.value.length;
          yield items;
        }
      }
      requireEnough(options, { rows: count, lines: lines - starts.length, since });
    }
    yield* pagesOf(all(), pageSize, signal);
    return {
      covers: 'listing',
      seal: { objects: count, server: place.identity },
      // The files may have been replaced since the run began; then what was read is of neither marker.
      exact: isSameContent({ files }, upTo),
    };
  }

  return {
    whole: chosen,
    async position() {
      const files: FileIdentity[] = [];
      for (const name of await chosen()) files.push(await identityOf(reader, name));
      return { files };
    },
    // Whatever was read before, what is there now can be compared with it.
    judge: async ({ upTo }) => (upTo === undefined ? { valid: true } : { valid: false, reason: 'The marker is one of change files.' }),
    readAll: (upTo) => list(upTo),
    async *readChanges(since, upTo) {
      if (isSameContent(since, upTo)) return { covers: 'changes' };
      return yield* list(upTo, since);
    },
    async readByIds(ids) {
      const wanted = new Set(ids);
      const found = new Map<string, Found>();
      for (const file of await chosen()) {
        for await (const rows of rowsOf(reader, file, objects.columns)) {
          for (const row of rows) {
            const id = objects.idOf(row, file);
            if (wanted.has(id)) found.set(id, { kind: 'found', ...objects.read(row, file) });
          }
          if (found.size === wanted.size) return found;
        }
      }
      // The files are whole, as their reader has shown: whom they do not name is not there.
      for (const id of wanted) if (!found.has(id)) found.set(id, { kind: 'gone' });
      return found;
    },
  };
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

function requireEnough({ stream, settings: { files, proof } }: StreamFilesOptions, { rows, lines, since }: Counts): void {
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
