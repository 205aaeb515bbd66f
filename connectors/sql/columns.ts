import type { SourceValue } from '../../model/item.ts';

/**
 * What a column holds, as far as reading it asks. `integer` fits a JavaScript number; `instant` is a point in time, `timestamp` the reading
 * of a clock without its zone; `list` is one of texts; `other` is whatever the database writes as text.
 */
export type ColumnKind =
  | 'boolean'
  | 'integer'
  | 'bigint'
  | 'decimal'
  | 'float'
  | 'text'
  | 'uuid'
  | 'binary'
  | 'date'
  | 'timestamp'
  | 'instant'
  | 'list'
  | 'other';

export interface Column {
  /** As the database spells it. */
  readonly name: string;
  readonly kind: ColumnKind;
  /** The database's own name of the type, for messages and casts. */
  readonly type: string;
}

/**
 * A value as text, in one form for all databases and with the database's own precision: `true`; `2026-03-29T01:30:00.123456`, with a `Z` if
 * it is an instant; binary as base64; lists as JSON. `undefined` is no value of any database.
 */
export type Cell = string | null;

/** The value of an attribute. 64-bit and decimal numbers stay texts: not all of them fit a JavaScript number, and a type must not depend on the value. */
export function attributeOf(kind: ColumnKind, cell: Cell): SourceValue {
  if (cell === null) return null;
  switch (kind) {
    case 'boolean':
      return cell === 'true';
    case 'integer':
      return Number(cell);
    case 'float': {
      const number = Number(cell);
      return Number.isFinite(number) ? number : cell;
    }
    case 'list':
      return JSON.parse(cell) as readonly string[];
    default:
      return cell;
  }
}

/** Whether a text can be a value of such a column at all. Databases refuse to compare what can not. */
export function fits({ kind, type }: Pick<Column, 'kind' | 'type'>, text: string): boolean {
  switch (kind) {
    case 'integer':
    case 'bigint':
      if (!/^-?\d{1,20}$/.test(text)) return false;
      return (/unsigned/i.test(type) ? BigInt.asUintN : BigInt.asIntN)(64, BigInt(text)) === BigInt(text);
    case 'decimal':
      return /^-?\d+(?:\.\d+)?$/.test(text);
    case 'float':
      return text.trim() !== '' && !Number.isNaN(Number(text));
    case 'uuid':
      return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
    case 'boolean':
      return text === 'true' || text === 'false';
    case 'date':
      return /^\d{4}-\d\d-\d\d$/.test(text);
    case 'timestamp':
    case 'instant':
      return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?$/.test(text);
    default:
      return true;
  }
}
