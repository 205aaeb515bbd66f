import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

type CopyValue = string | number | boolean | null | readonly string[];

/** One row of COPY's text format (PostgreSQL documentation, COPY, "Text Format"). Lists become text[]. */
export function copyRow(values: readonly CopyValue[]): string {
  let row = '';
  for (let index = 0; index < values.length; index++) {
    if (index > 0) row += '\t';
    row += copyValue(values[index] as CopyValue);
  }
  return `${row}\n`;
}

/** A value of type bytea, of its bytes in hexadecimal. */
export function bytea(hex: string): string {
  return `\\x${hex}`;
}

/** A list of numbers as PostgreSQL writes arrays; as parameters, arrays go through a slower way of writing them. */
export function numbersText(values: readonly (string | number)[]): string {
  return `{${values.join()}}`;
}

/** A list of texts as PostgreSQL writes arrays. */
export function arrayText(values: readonly string[]): string {
  return `{${values.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}

/** A text as a value of a row. */
export function copyText(text: string): string {
  return special.test(text) ? text.replace(/[\\\t\n\r]/g, (character) => escapes[character] as string) : text;
}

/**
 * Rows that wait to be sent, as bytes: the texts of a page's rows would live as long as the page, and what lives that long is what collecting
 * garbage costs time for.
 */
export interface RowBuffer {
  readonly isEmpty: boolean;
  /** Adds rows made by `copyRow`. */
  add(rows: string): void;
  /** What has been added, until more is. */
  content(): Buffer;
  clear(): void;
}

/** Beyond this a buffer is not kept for the next rows. */
const keptBytes = 2 ** 22;

export function rowBuffer(): RowBuffer {
  let bytes = Buffer.allocUnsafe(2 ** 14);
  let used = 0;
  return {
    get isEmpty() {
      return used === 0;
    },
    add(rows) {
      // No UTF-16 unit takes more than three bytes.
      const needed = used + rows.length * 3;
      if (needed > bytes.length) {
        const former = bytes;
        bytes = Buffer.allocUnsafe(Math.max(needed, former.length * 2));
        former.copy(bytes, 0, 0, used);
      }
      used += bytes.write(rows, used);
    },
    content: () => bytes.subarray(0, used),
    clear() {
      used = 0;
      if (bytes.length > keptBytes) bytes = Buffer.allocUnsafe(2 ** 14);
    },
  };
}

/** Bytes sent at once. */
const pieceBytes = 2 ** 17;

function* pieces(content: Buffer): Generator<Buffer> {
  for (let start = 0; start < content.length; start += pieceBytes) yield content.subarray(start, start + pieceBytes);
}

/** Sends rows in one COPY; returns when the server has taken them all. */
export async function copyRows(client: pg.PoolClient, table: string, columns: readonly string[], rows: RowBuffer): Promise<void> {
  if (rows.isEmpty) return;
  const stream = client.query(copyFrom(`copy tidemark.${table} (${columns.join(', ')}) from stdin`));
  await pipeline(Readable.from(pieces(rows.content())), stream);
}

function copyValue(value: CopyValue): string {
  if (value === null) return '\\N';
  if (typeof value === 'string') return copyText(value);
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return copyText(arrayText(value));
}

const special = /[\\\t\n\r]/;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
