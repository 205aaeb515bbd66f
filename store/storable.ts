import { hash } from 'node:crypto';
import type { SourceAttributes } from '../model/item.ts';

/** PostgreSQL text can't hold NUL, and UTF-8 no lone surrogates. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** The text, or what stands in for it where PostgreSQL would refuse it: base64 of its UTF-8. */
export function storable(text: string): string {
  return isStorable(text) ? text : Buffer.from(text).toString('base64');
}

/** Attributes as they are stored, and their JSON. */
export interface StorableAttributes {
  readonly attributes: SourceAttributes;
  readonly json: string;
}

/** Attributes with every name and value in a form that jsonb takes; mostly the same object. */
export function storableAttributes(attributes: SourceAttributes): StorableAttributes {
  const json = JSON.stringify(attributes);
  // JSON writes what can't be stored as an escape, and little else.
  if (!json.includes('\\u')) return { attributes, json };
  const storables = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [storable(name), storableValue(value)]));
  return { attributes: storables, json: JSON.stringify(storables) };
}

function storableValue(value: SourceAttributes[string]): NonNullable<SourceAttributes[string]> | null {
  if (typeof value === 'string') return storable(value);
  if (Array.isArray(value)) return value.map(storable);
  return value ?? null;
}

/** The most that an id may have: a row of the index that finds objects by integration, id and stream holds 2,704 bytes. */
const maxIdBytes = 2_000;
const standInPrefix = 'sha256:';

/** An id as it is stored: itself, or a digest of it that stands in, with the reason why. */
export interface StoredId {
  readonly id: string;
  readonly problem?: string;
}

/** Ids too long for an index, or with characters that PostgreSQL refuses, get a stand-in: their objects can be named, not stored. */
export function storedId(id: string): StoredId {
  const storableText = isStorable(id);
  // No UTF-16 unit takes more than three bytes, so the usual id needs no count.
  if (storableText && (id.length * 3 <= maxIdBytes || Buffer.byteLength(id) <= maxIdBytes)) return { id };
  return {
    id: `${standInPrefix}${hash('sha256', Buffer.from(id, 'utf16le'), 'hex')}`,
    problem: storableText
      ? `its id has ${Buffer.byteLength(id)} bytes; at most ${maxIdBytes} can be stored`
      : 'its id has a character that cannot be stored (NUL, or half of a surrogate pair)',
  };
}

/** Whether an id is a stand-in: the source does not know it, so nothing can be read by it. */
export function isStandIn(id: string): boolean {
  return id.startsWith(standInPrefix);
}
