import { setTimeout as delay } from 'node:timers/promises';
import { type ContentFacts, contentOf, factsOf, isPacked } from './content.ts';
import { csvRows } from './csv-rows.ts';
import { fileFailure, settingsFailure } from './failures.ts';
import { formatOf, missing } from './file-names.ts';
import { jsonRows } from './json-rows.ts';
import { ldifRows } from './ldif-rows.ts';
import { type Manifest, readManifest, requireManifest } from './manifest.ts';
import type { FileIdentity } from './markers.ts';
import type { OpenFile, Place } from './place.ts';
import type { Row } from './rows.ts';
import type { FlatFileStreamSettings, Format } from './settings.ts';
import { decoded, type TextEnd } from './text.ts';

/** What a file was, once it was read to its end. */
export interface FileRead extends ContentFacts {
  readonly rows: number;
}

export interface FileReader {
  readonly place: Place;
  readonly settings: Pick<FlatFileStreamSettings, 'format' | 'encoding' | 'delimiter' | 'quote' | 'header' | 'proof'>;
  readonly signal: AbortSignal;
}

/**
 * The rows of one file, many at a time, and at its end, if it is proven whole, what it was. Fails with `ListingIncomplete` where the proof is missing, so
 * that rows which were given before count for nothing.
 */
export async function* rowsOf(reader: FileReader, name: string, columns: readonly string[]): AsyncGenerator<readonly Row[], FileRead> {
  const { place, settings, signal } = reader;
  const { manifest: ending, settle: settleMs } = settings.proof;
  const manifest = ending === undefined ? undefined : await readManifest(place, `${name}${ending}`);
  await using file = await place.open(name);
  if (file === undefined) throw missing(place, name);
  const openedAtMs = Date.now();
  let end: (ContentFacts & TextEnd) | undefined;
  async function* text(content: AsyncGenerator<string, ContentFacts & TextEnd>): AsyncGenerator<string, void> {
    end = yield* content;
  }
  let count = 0;
  for await (const rows of parsed(text(decoded(contentOf(file, name), { name, encoding: settings.encoding })), reader, name, columns)) {
    signal.throwIfAborted();
    count += rows.length;
    yield rows;
  }
  if (end === undefined) throw new Error('a text that was read has an end');
  await requireStill(file, name, { settleMs: manifest === undefined ? settleMs : 0, openedAtMs, read: end.size, signal });
  requireWhole(name, { ...end, rows: count }, manifest);
  const { size, sha256, lines } = end;
  return { size, sha256, lines, rows: count };
}

function parsed(
  text: AsyncIterable<string>,
  { settings }: FileReader,
  file: string,
  columns: readonly string[],
): AsyncIterable<readonly Row[]> {
  const wanted = { file, columns };
  const format = requireFormat(settings, file);
  switch (format) {
    case 'csv':
    case 'tsv': {
      const { delimiter = format === 'csv' ? ',' : '\t', quote, header } = settings;
      return csvRows(text, wanted, { delimiter, quote, header });
    }
    case 'jsonl':
      return jsonRows(text, wanted);
    case 'ldif':
      return ldifRows(text, wanted);
  }
}

/** What a file is written as. Fails with `InvalidConfiguration` if neither the settings nor the name tells. */
export function requireFormat({ format }: Pick<FlatFileStreamSettings, 'format'>, file: string): Format {
  const found = format ?? formatOf(file);
  if (found !== undefined) return found;
  throw settingsFailure({ file }, 'its name does not tell its format', 'Set format of the stream to csv, tsv, jsonl or ldif.');
}

interface Looks {
  readonly settleMs: number;
  readonly openedAtMs: number;
  /** Bytes that were read. */
  readonly read: number;
  readonly signal: AbortSignal;
}

/** Fails unless nobody has written into the file: by two looks that are at least `settleMs` apart, if it was written to more recently. */
async function requireStill(file: OpenFile, name: string, { settleMs, openedAtMs, read, signal }: Looks): Promise<void> {
  const { writtenAtMs } = file;
  const waitMs = openedAtMs + settleMs - Date.now();
  if (writtenAtMs !== undefined && Date.now() - writtenAtMs < settleMs && waitMs > 0) await delay(waitMs, undefined, { signal });
  if (read === file.size && (await file.isUnchanged())) return;
  throw fileFailure(
    { file: name },
    'it was written to while it was read',
    'Nothing of it was applied. Write files under another name and rename them when they are whole.',
  );
}

function requireWhole(name: string, end: FileRead & TextEnd, manifest: Manifest | undefined): void {
  if (manifest !== undefined) requireManifest(manifest, name, end);
  if (manifest?.sha256 !== undefined || end.endsWithNewline) return;
  throw fileFailure(
    { file: name, line: end.lines + 1 },
    `the last line${isPacked(name) ? ' of the unpacked file' : ''} has no line feed at its end, so it may have been cut`,
    'Nothing of it was applied. Have each line ended, the last one too, or deliver a manifest with the sha256 of the file (proof.manifest).',
  );
}

/** What is in a file now, without making anything of it. */
export async function identityOf({ place }: FileReader, name: string): Promise<FileIdentity> {
  await using file = await place.open(name);
  if (file === undefined) throw missing(place, name);
  return { name, ...(await factsOf(file, name)) };
}
