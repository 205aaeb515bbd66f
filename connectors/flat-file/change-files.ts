import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item } from '../../model/item.ts';
import type { MarkerVerdict } from '../../model/marker.ts';
import { fileFailure, settingsFailure } from './failures.ts';
import { missing, starOf } from './file-names.ts';
import { identityOf, requireFormat, rowsOf } from './file-reader.ts';
import type { FileIdentity, FilesPosition } from './markers.ts';
import type { ReadObject } from './object-reader.ts';
import { pagesOf } from './pages.ts';
import type { Row } from './rows.ts';
import { createSeenKeys } from './seen-keys.ts';
import type { ChangesSettings } from './settings.ts';
import type { StreamFiles, StreamFilesOptions } from './stream-files.ts';

/** A file that says how things were up to a number. */
interface BaseFile {
  readonly name: string;
  readonly sequence: number;
}

/** What a row of a change file says. */
type Change = { readonly kind: 'object'; readonly id: string; readonly read: ReadObject } | { readonly kind: 'gone'; readonly id: string };

/** Numbers with more digits are not exact. */
const digits = /^\d{1,15}$/;

/**
 * A stream of a base file, which holds everybody as they were up to a number, and change files after it, whose numbers follow each other
 * without a gap. Change files never change: one that was applied is known by its content.
 */
export function changeFiles(options: StreamFilesOptions & { readonly changes: ChangesSettings }): StreamFiles {
  const { settings, reader, objects, changes } = options;
  const { place, signal } = reader;
  const { manifest } = settings.proof;
  const sequence = changes.sequenceColumn === undefined ? [] : [changes.sequenceColumn];
  const operationAt = objects.columns.length + sequence.length;
  const isManifest = (name: string): boolean => manifest !== undefined && name.endsWith(manifest);
  const isLdif = (name: string): boolean => requireFormat(settings, name) === 'ldif';

  /** The base with the highest number. */
  async function baseAmong(names: readonly string[]): Promise<BaseFile> {
    const [pattern = ''] = settings.files;
    if (!pattern.includes('*')) return { name: pattern, sequence: 0 };
    const bases = names.flatMap((name) => {
      const star = starOf(pattern, name);
      return star !== undefined && digits.test(star) && !isManifest(name) ? [{ name, sequence: Number(star) }] : [];
    });
    const last = bases.sort((one, other) => one.sequence - other.sequence).at(-1);
    if (last === undefined) throw missing(place, pattern);
    return last;
  }

  /** The base, and the change files in their order, by content. */
  async function survey(): Promise<FilesPosition & { readonly base: BaseFile }> {
    const names = await place.list();
    const base = await baseAmong(names);
    const named = names.flatMap((name) => {
      const star = starOf(changes.files, name);
      if (star === undefined || isManifest(name) || name === base.name) return [];
      if (changes.sequenceColumn !== undefined) return [{ name, order: star }];
      if (digits.test(star)) return [{ name, order: star.padStart(15, '0') }];
      throw new TidemarkFailure('InvalidConfiguration', `${name}: "${star}" is no sequence number`, {
        remedy:
          'Have change files numbered in their names, where changes.files has its *; or number their rows, and name the column in changes.sequenceColumn.',
      });
    });
    const files: FileIdentity[] = [];
    for (const { name, order } of named.sort((one, other) => (one.order < other.order ? -1 : 1))) {
      const range = changes.sequenceColumn === undefined ? { first: Number(order), last: Number(order) } : await rangeOf(name);
      if (range !== undefined) files.push({ ...(await identityOf(reader, name)), ...range });
    }
    return { base, files, upTo: Math.max(base.sequence, ...files.map(({ last = 0 }) => last)) };
  }

  /** First and last number in a file whose rows are numbered; `undefined` if it has none. */
  async function rangeOf(name: string): Promise<{ readonly first: number; readonly last: number } | undefined> {
    let range: { readonly first: number; readonly last: number } | undefined;
    for await (const rows of rowsOf(reader, name, sequence)) {
      for (const row of rows) {
        const number = numberIn(row, 0, name);
        if (range !== undefined) requireNext({ file: name, line: row.line }, range.last, number);
        range = { first: range?.first ?? number, last: number };
      }
    }
    return range;
  }

  function numberIn(row: Row, at: number, file: string): number {
    const text = String(row.cells()[at] ?? '');
    if (digits.test(text)) return Number(text);
    throw fileFailure(
      { file, line: row.line },
      `${changes.sequenceColumn} is no sequence number`,
      'Have rows numbered with whole numbers.',
    );
  }

  function changeIn(row: Row, file: string): Change {
    const at = { file, line: row.line };
    switch (operationOf(row, at)) {
      case 'put': {
        const read = objects.read(row, file);
        return { kind: 'object', id: read.item.id, read };
      }
      case 'delete':
        return { kind: 'gone', id: objects.idOf(row, file) };
    }
  }

  function operationOf(row: Row, at: { readonly file: string; readonly line: number }): 'put' | 'delete' {
    if (isLdif(at.file)) {
      if (row.changetype === 'delete') return 'delete';
      if (row.changetype === 'add' || row.changetype === undefined) return 'put';
      throw fileFailure(
        at,
        `a record with changetype ${row.changetype} does not hold the whole entry`,
        'Have the entry written as it is now, with changetype add.',
      );
    }
    const word = String(row.cells()[operationAt] ?? '').toUpperCase();
    const means = (words: readonly string[]): boolean => words.some((one) => one.toUpperCase() === word);
    if (means(changes.insert) || means(changes.update)) return 'put';
    if (means(changes.delete)) return 'delete';
    throw settingsFailure(
      at,
      `${changes.operation} is none of ${[...changes.insert, ...changes.update, ...changes.delete].join(', ')}`,
      'Name the words for insert, update and delete in changes of the stream.',
    );
  }

  /** The changes of files after a number, in their order. Each must be what it was when the run began, and the numbers have no gap. */
  async function* changesIn({ files, upTo }: FilesPosition, after: number): AsyncGenerator<Change, void> {
    let last = after;
    for (const file of files) {
      const { name, first = 0, sha256 } = file;
      if ((file.last ?? 0) <= after) continue;
      if (first > last + 1) throw gap(last + 1, first, name, changes);
      if (first <= last && first > after) {
        throw fileFailure(
          { file: name },
          `number ${first} comes twice`,
          'Nobody can tell which of them counts. Take one of the files away.',
        );
      }
      const rows = rowsOf(reader, name, [...objects.columns, ...sequence, ...(isLdif(name) ? [] : [changes.operation])]);
      for (;;) {
        const step = await rows.next();
        if (step.done === true) {
          if (step.value.sha256 !== sha256) throw replaced(name);
          break;
        }
        for (const row of step.value) {
          // What the base, or an earlier run, has of a file with numbered rows is done.
          if (changes.sequenceColumn !== undefined && numberIn(row, objects.columns.length, name) <= after) continue;
          yield changeIn(row, name);
        }
      }
      last = file.last ?? last;
    }
    if (last < (upTo ?? 0)) throw gap(last + 1, upTo ?? 0, 'the run', changes);
  }

  async function* itemsOf(source: AsyncIterable<Change>): AsyncGenerator<readonly Item[], number> {
    let objectsGiven = 0;
    for await (const change of source) {
      if (change.kind === 'gone') yield [{ kind: 'gone', id: change.id, reason: 'a change file says so' }];
      else {
        objectsGiven += 1;
        yield [change.read.item, ...change.read.more];
      }
    }
    return objectsGiven;
  }

  /** Everybody in the base file, each once. */
  async function* baseObjects({ name }: BaseFile): AsyncGenerator<ReadObject, void> {
    const seen = createSeenKeys();
    let count = 0;
    for await (const rows of rowsOf(reader, name, objects.columns)) {
      for (const row of rows) {
        const read = objects.read(row, name);
        const before = seen.add(read.item.id, row.line);
        if (before !== undefined) {
          throw fileFailure(
            { file: name, line: row.line },
            `the row has the same ${settings.key} as line ${before}`,
            'Have each object written once.',
          );
        }
        count += 1;
        yield read;
      }
    }
    if (count < settings.proof.minimumRows) {
      throw fileFailure(
        { file: name },
        `${count} rows, but minimumRows asks for ${settings.proof.minimumRows}`,
        'Have the file written whole, or lower proof.minimumRows.',
      );
    }
  }

  return {
    whole: async () => [(await baseAmong(await place.list())).name],
    async position() {
      const { files, upTo = 0 } = await survey();
      return { files, upTo };
    },
    async judge(since): Promise<MarkerVerdict> {
      if (since.upTo === undefined) return { valid: false, reason: 'The position of the marker has no sequence number.' };
      const now = await survey();
      if ((now.upTo ?? 0) < since.upTo) throw setBack(since.upTo, now.upTo ?? 0, place.identity.name);
      // A base that is further than the marker is no matter as long as the change files up to it are there too.
      if (reached(now.files, since.upTo) >= now.base.sequence) return { valid: true };
      return {
        valid: false,
        reason: `The marker stands at number ${since.upTo}; ${now.base.name} has taken the place of the change files after it.`,
      };
    },
    async *readAll(upTo) {
      const { base } = await survey();
      let count = 0;
      async function* all(): AsyncGenerator<readonly Item[], void> {
        for await (const { item, more } of baseObjects(base)) {
          count += 1;
          yield [item, ...more];
        }
        count += yield* itemsOf(changesIn(upTo, base.sequence));
      }
      yield* pagesOf(all(), options.pageSize, signal);
      return { covers: 'listing', seal: { objects: count, server: place.identity } };
    },
    async *readChanges(since, upTo) {
      const now = new Map(upTo.files.map(({ name, sha256 }) => [name, sha256]));
      for (const { name, sha256, last = 0 } of since.files) {
        const content = now.get(name);
        if (last <= (since.upTo ?? 0) && content !== undefined && content !== sha256) throw changed(name);
      }
      yield* pagesOf(itemsOf(changesIn(upTo, since.upTo ?? 0)), options.pageSize, signal);
      return { covers: 'changes' };
    },
    async readByIds(ids) {
      const wanted = new Set(ids);
      const found = new Map<string, Found>(ids.map((id) => [id, { kind: 'gone' }]));
      const position = await survey();
      const put = ({ item, more }: ReadObject): void => {
        if (wanted.has(item.id)) found.set(item.id, { kind: 'found', item, more });
      };
      for await (const read of baseObjects(position.base)) put(read);
      for await (const change of changesIn(position, position.base.sequence)) {
        if (change.kind === 'object') put(change.read);
        else if (wanted.has(change.id)) found.set(change.id, { kind: 'gone' });
      }
      return found;
    },
  };
}

/** The number that change files lead to from one on, without a gap. */
function reached(files: readonly FileIdentity[], from: number): number {
  return files.reduce((at, { first = 0, last = 0 }) => (first <= at + 1 ? Math.max(at, last) : at), from);
}

function requireNext(at: { readonly file: string; readonly line: number }, last: number, next: number): void {
  if (next === last + 1) return;
  throw fileFailure(
    at,
    `number ${next} follows ${last}`,
    'Rows are applied in the order of their numbers, without a gap. Have the file written anew.',
  );
}

function gap(from: number, next: number, name: string, { files }: ChangesSettings): TidemarkFailure {
  const lacking = next - from > 1 ? `${from} to ${next - 1}` : `${from}`;
  return new TidemarkFailure('ListingIncomplete', `${files}: number ${lacking} is missing before ${next} (${name})`, {
    remedy:
      'Nothing after the gap is applied. Have the missing file delivered; if it is lost, deliver a new base file with a higher number.',
  });
}

function changed(name: string): TidemarkFailure {
  return fileFailure(
    { file: name },
    'it was applied before, and has another content now',
    'A correction belongs into a new change file. To apply the file as it is now, run a complete sync.',
  );
}

function replaced(name: string): TidemarkFailure {
  return fileFailure({ file: name }, 'its content has changed since the run began', 'Nothing was applied. It is tried again.');
}

function setBack(applied: number, now: number, folder: string): TidemarkFailure {
  return new TidemarkFailure(
    'ListingIncomplete',
    `${folder}: change files up to number ${applied} were applied, but now they go up to ${now} only`,
    {
      remedy: `Put them back, or deliver a base file with number ${applied} or higher. If the numbers really begin anew, reset the marker: tidemark marker reset.`,
    },
  );
}
