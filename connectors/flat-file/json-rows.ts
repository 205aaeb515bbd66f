import { fileFailure } from './failures.ts';
import { linesOf } from './lines.ts';
import type { Cell, Row, RowsWanted } from './rows.ts';

const again = 'Nothing of it was applied. Have the file written anew: one JSON object on each line.';

/** The rows of a JSON Lines file: one object on each line; empty lines are left out. A member that is missing or null has no value. */
export async function* jsonRows(text: AsyncIterable<string>, { file, columns }: RowsWanted): AsyncGenerator<readonly Row[], void> {
  let line = 0;
  for await (const lines of linesOf(text, file)) {
    const rows: Row[] = [];
    for (const source of lines) {
      line += 1;
      if (source.trim() === '') continue;
      const at = { file, line };
      const object = objectOf(source, at);
      const cells = columns.map((column) => cellOf(object[column], column, at));
      rows.push({ line, cells: () => cells, record: JSON.stringify(cells) });
    }
    yield rows;
  }
}

function objectOf(source: string, at: { readonly file: string; readonly line: number }): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    throw fileFailure(at, 'it is no JSON', again);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fileFailure(at, 'it is no JSON object', again);
  return value as Readonly<Record<string, unknown>>;
}

function cellOf(value: unknown, column: string, at: { readonly file: string; readonly line: number }): Cell {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw fileFailure(at, `${column} is a number that JSON readers can't keep`, 'Have it written as a text, in quotes.');
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (Array.isArray(value) && value.every((one) => typeof one === 'string' || typeof one === 'number')) return value.map(String);
  throw fileFailure(at, `${column} is neither a single value nor a list of texts`, 'Have it written flat, or leave it out of the stream.');
}
