import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { fileFailure, settingsFailure } from './failures.ts';
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
  const parser = parse({
    delimiter: options.delimiter,
    quote: options.quote === '' ? false : options.quote,
    escape: options.quote === '' ? false : options.quote,
    // Raggedness is judged here, with the line.
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: longestRow,
    info: true,
  });
  pipeline(Readable.from(text), parser, () => undefined);
  let header = options.header;
  let places = header === undefined ? [] : placesOf(header, columns, { file });
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      const { lines: line } = info;
      if (header === undefined) {
        header = record;
        places = placesOf(header, columns, { file, line });
        continue;
      }
      if (record.length !== header.length) {
        throw fileFailure({ file, line }, `the row has ${record.length} cells, but there are ${header.length} columns`, again);
      }
      yield { line, cells: places.map((place) => record[place] || undefined) };
    }
  } catch (error) {
    throw error instanceof CsvError ? syntaxFailure(error, file) : error;
  }
  if (header === undefined) {
    throw fileFailure(
      { file },
      'it is empty: not even a header is there',
      `${again} If it never has a header, name its columns in header.`,
    );
  }
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

function syntaxFailure(error: CsvError, file: string): Error {
  const line = typeof error.lines === 'number' ? error.lines : undefined;
  const at = { file, ...(line === undefined ? {} : { line }) };
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return fileFailure(at, 'a quote is opened and never closed: the file ends in the middle of a row', again);
    case 'CSV_MAX_RECORD_SIZE':
      return fileFailure(at, 'a row is longer than 16 MiB', `${again} A quote that is never closed makes such rows.`);
    default:
      return fileFailure(at, `it is no CSV (${error.code})`, `${again} See delimiter and quote of the stream.`);
  }
}
