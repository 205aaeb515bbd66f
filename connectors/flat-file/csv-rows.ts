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

/** The rows of a CSV or TSV file (RFC 4180). Each has as many cells as the header; an empty cell has no value. */
export async function* csvRows(text: AsyncIterable<string>, { file, columns }: RowsWanted, options: CsvOptions): AsyncGenerator<Row, void> {
  let header = options.header;
  let places = header === undefined ? [] : placesOf(header, columns, { file });
  for await (const records of recordsOf(text, file, options)) {
    for (const { line, cells } of records) {
      if (header === undefined) {
        header = cells;
        places = placesOf(header, columns, { file, line });
        continue;
      }
      if (cells.length !== header.length) {
        throw fileFailure({ file, line }, `the row has ${cells.length} cells, but there are ${header.length} columns`, again);
      }
      yield { line, cells: places.map((place) => cells[place] || undefined) };
    }
  }
  if (header === undefined) {
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
  readonly cells: readonly string[];
}

/** The records that end within each piece of the text, empty lines left out. Lines without quotes, mostly all of them, are split and no more. */
async function* recordsOf(
  text: AsyncIterable<string>,
  file: string,
  { delimiter, quote }: Pick<CsvOptions, 'delimiter' | 'quote'>,
): AsyncGenerator<readonly CsvRecord[], void> {
  let line = 0;
  /** Lines of a row with a quote that is still open. */
  let open: string[] = [];
  let openLength = 0;
  let openedAt = 0;

  const recordOf = (content: string): CsvRecord | undefined => {
    line += 1;
    const hasQuotes = quote !== '' && content.includes(quote);
    if (open.length === 0 && !hasQuotes) {
      const plain = withoutReturn(content);
      return plain === '' ? undefined : { line, cells: plain.split(delimiter) };
    }
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
    return { line, cells: quotedCells(row, delimiter, quote) ?? badQuote(file, openedAt) };
  };

  let rest = '';
  for await (const piece of text) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    requireShort(rest.length, file, line + 1);
    yield lines.map(recordOf).filter((record) => record !== undefined);
  }
  const last = rest === '' ? undefined : recordOf(rest);
  if (open.length > 0) {
    throw fileFailure({ file, line: openedAt }, 'a quote is opened and never closed: the file ends in the middle of a row', again);
  }
  if (last !== undefined) yield [last];
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
