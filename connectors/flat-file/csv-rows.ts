import { hash } from 'node:crypto';
import { fileFailure, settingsFailure } from './failures.ts';
import { withoutReturn } from './lines.ts';
import { longestRow, type Row, type RowsWanted } from './rows.ts';

export interface CsvOptions {
  readonly delimiter: string;
  /** Empty: quotes have no meaning. */
  readonly quote: string;
  /** Names of the columns of a file that has no header. */
  readonly header: readonly string[] | undefined;
}

const again = 'Nothing of it was applied. Have the file written anew, and delivered whole.';

/** What the cells of a file's rows are told apart by. */
interface Layout {
  readonly columns: readonly string[];
  /** Where the columns that were asked for are, in their order. */
  readonly places: readonly number[];
  /** In short, delimiter, quote and columns; what a row says follows from these and its text. */
  readonly digest: string;
}

/** The rows of a CSV or TSV file (RFC 4180). Each has as many cells as the header; an empty cell has no value. */
export async function* csvRows(
  text: AsyncIterable<string>,
  { file, columns }: RowsWanted,
  options: CsvOptions,
): AsyncGenerator<readonly Row[], void> {
  const { delimiter, quote, header } = options;
  const layoutOf = (names: readonly string[], line?: number): Layout => ({
    columns: names,
    places: placesOf(names, columns, line === undefined ? { file } : { file, line }),
    digest: hash('sha256', JSON.stringify([delimiter, quote, names])).slice(0, 32),
  });
  let layout = header === undefined ? undefined : layoutOf(header);
  const cellsOf = ({ line, begin, text: row, hasQuotes }: CsvRecord): readonly string[] =>
    hasQuotes ? (quotedCells(row, delimiter, quote) ?? badQuote(file, line - begin)) : row.split(delimiter);

  const rowOf = (record: CsvRecord, { columns: names, places, digest }: Layout): Row => ({
    line: record.line,
    cells() {
      const cells = cellsOf(record);
      if (cells.length === names.length) return places.map((place) => cells[place] || undefined);
      throw fileFailure({ file, line: record.line }, `the row has ${cells.length} cells, but there are ${names.length} columns`, again);
    },
    ...(record.hasQuotes ? {} : { peek: (place: number) => nthCell(record.text, delimiter, places[place] as number) }),
    record: `${digest}\n${record.text}`,
  });

  for await (const records of recordsOf(text, file, options)) {
    const rows: Row[] = [];
    for (const record of records) {
      if (layout === undefined) layout = layoutOf(cellsOf(record), record.line);
      else rows.push(rowOf(record, layout));
    }
    yield rows;
  }
  if (layout === undefined) {
    throw fileFailure(
      { file },
      'it is empty: not even a header is there',
      `${again} If it never has a header, name its columns in header.`,
    );
  }
}

interface CsvRecord {
  /** Where it ends, from 1. */
  readonly line: number;
  /** How many lines before that it begins. */
  readonly begin: number;
  readonly text: string;
  readonly hasQuotes: boolean;
}

/** The records that end within each piece of the text, empty lines left out. Pieces without quotes, mostly all of them, are split into lines and no more. */
async function* recordsOf(
  text: AsyncIterable<string>,
  file: string,
  { quote }: Pick<CsvOptions, 'quote'>,
): AsyncGenerator<readonly CsvRecord[], void> {
  let line = 0;
  /** Lines of a row with a quote that is still open. */
  let open: string[] = [];
  let openLength = 0;
  let openedAt = 0;

  const quotedRecordOf = (content: string): CsvRecord | undefined => {
    const hasQuotes = content.includes(quote);
    if (open.length === 0 && !hasQuotes) return plainRecordOf(content);
    line += 1;
    if (open.length === 0) openedAt = line;
    open.push(content);
    openLength += content.length;
    // Quotes within a cell are doubled: a row is whole when it has an even number of them.
    const turns = hasQuotes && content.split(quote).length % 2 === 0;
    const isWhole = (open.length === 1) !== turns;
    if (!isWhole) {
      requireShort(openLength, file, openedAt);
      return undefined;
    }
    const row = withoutReturn(open.join('\n'));
    open = [];
    openLength = 0;
    return { line, begin: line - openedAt, text: row, hasQuotes: true };
  };
  const plainRecordOf = (content: string): CsvRecord | undefined => {
    line += 1;
    const plain = withoutReturn(content);
    return plain === '' ? undefined : { line, begin: 0, text: plain, hasQuotes: false };
  };
  const recordsIn = (lines: readonly string[], mayHaveQuotes: boolean): readonly CsvRecord[] => {
    const recordOf = mayHaveQuotes || open.length > 0 ? quotedRecordOf : plainRecordOf;
    const records: CsvRecord[] = [];
    for (const content of lines) {
      const record = recordOf(content);
      if (record !== undefined) records.push(record);
    }
    return records;
  };

  let rest = '';
  for await (const piece of text) {
    const whole = rest + piece;
    const lines = whole.split('\n');
    rest = lines.pop() ?? '';
    requireShort(rest.length, file, line + 1);
    yield recordsIn(lines, quote !== '' && whole.includes(quote));
  }
  const last = rest === '' ? [] : recordsIn([rest], quote !== '' && rest.includes(quote));
  if (open.length > 0) {
    throw fileFailure({ file, line: openedAt }, 'a quote is opened and never closed: the file ends in the middle of a row', again);
  }
  yield last;
}

/** One of the cells of a row without quotes; `undefined` if it has none there, or an empty one. */
function nthCell(row: string, delimiter: string, place: number): string | undefined {
  let start = 0;
  for (let skipped = 0; skipped < place; skipped += 1) {
    const next = row.indexOf(delimiter, start);
    if (next < 0) return undefined;
    start = next + delimiter.length;
  }
  const end = row.indexOf(delimiter, start);
  return row.slice(start, end < 0 ? row.length : end) || undefined;
}

/** The cells of a row with quotes; `undefined` where a quote stands neither around a cell nor doubled within one. */
function quotedCells(row: string, delimiter: string, quote: string): readonly string[] | undefined {
  const cells: string[] = [];
  for (let at = 0; ; at += delimiter.length) {
    if (row.startsWith(quote, at)) {
      let end = row.indexOf(quote, at + 1);
      while (end >= 0 && row[end + 1] === quote) end = row.indexOf(quote, end + 2);
      if (end < 0) return undefined;
      cells.push(row.slice(at + 1, end).replaceAll(quote + quote, quote));
      at = end + 1;
      if (at < row.length && !row.startsWith(delimiter, at)) return undefined;
    } else {
      const found = row.indexOf(delimiter, at);
      const end = found < 0 ? row.length : found;
      const cell = row.slice(at, end);
      if (cell.includes(quote)) return undefined;
      cells.push(cell);
      at = end;
    }
    if (at >= row.length) return cells;
  }
}

function badQuote(file: string, line: number): never {
  throw fileFailure(
    { file, line },
    'a quote stands within a cell, neither doubled nor around it',
    `${again} See delimiter and quote of the stream.`,
  );
}

function requireShort(length: number, file: string, line: number): void {
  if (length <= longestRow) return;
  throw fileFailure({ file, line }, 'a row is longer than 16 MiB', `${again} A quote that is never closed makes such rows.`);
}

/** Where the columns are. A name that stands twice, or is missing, would give wrong values, or none, to every object. */
function placesOf(header: readonly string[], columns: readonly string[], at: { readonly file: string; readonly line?: number }): number[] {
  const repeated = header.find((name, index) => name !== '' && header.indexOf(name) !== index);
  if (repeated !== undefined) {
    throw settingsFailure(at, `the column ${repeated} stands twice in the header`, 'Have each column named once.');
  }
  const missing = columns.filter((column) => !header.includes(column));
  if (missing.length > 0) {
    throw settingsFailure(
      at,
      `the header lacks ${missing.join(', ')}; it has ${header.join(', ')}`,
      'Nothing was read, so no attribute lost its value. Have the file written with these columns, or take them out of key, attributes, links, include and mapping.',
    );
  }
  return columns.map((column) => header.indexOf(column));
}
