import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

type CopyValue = string | number | boolean | null | Buffer | readonly string[];

/** One row of COPY's text format (PostgreSQL documentation, COPY, "Text Format"). Buffers become bytea, lists text[]. */
export function copyRow(values: readonly CopyValue[]): string {
  let row = '';
  for (let index = 0; index < values.length; index++) {
    if (index > 0) row += '\t';
    row += copyValue(values[index] as CopyValue);
  }
  return `${row}\n`;
}

/**
 * Rows put into one text and encoded at once. Fewer cost more; with many, a single character beyond Latin-1 makes a large text take twice the
 * memory and several times as long.
 */
const rowsAtOnce = 50;

function* encoded(rows: readonly string[]): Generator<Buffer> {
  for (let start = 0; start < rows.length; start += rowsAtOnce) yield Buffer.from(rows.slice(start, start + rowsAtOnce).join(''));
}

/** Sends rows made by `copyRow` in one COPY; returns when the server has taken them all. */
export async function copyRows(client: pg.PoolClient, table: string, columns: readonly string[], rows: readonly string[]): Promise<void> {
  if (rows.length === 0) return;
  const stream = client.query(copyFrom(`copy tidemark.${table} (${columns.join(', ')}) from stdin`));
  await pipeline(Readable.from(encoded(rows)), stream);
}

function copyValue(value: CopyValue): string {
  if (value === null) return '\\N';
  if (typeof value === 'string') return escapeText(value);
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 't' : 'f';
  if (Buffer.isBuffer(value)) return `\\\\x${value.toString('hex')}`;
  return escapeText(`{${(value as readonly string[]).map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`);
}

const special = /[\\\t\n\r]/;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function escapeText(text: string): string {
  return special.test(text) ? text.replace(/[\\\t\n\r]/g, (character) => escapes[character] as string) : text;
}
