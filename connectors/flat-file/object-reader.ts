import { inStoredOrder } from '../../model/canonical.ts';
import type { ObjectItem, RecordItem, SourceValue } from '../../model/item.ts';
import { type LinksItem, slices } from '../directory/items.ts';
import { fileFailure } from './failures.ts';
import type { Cell, Row } from './rows.ts';
import type { FlatFileStreamSettings } from './settings.ts';

/** What one row says. `more`: slices of its long lists. */
export interface ReadObject<Given = ObjectItem | RecordItem> {
  readonly item: Given;
  readonly more: readonly LinksItem[];
}

interface FilePlace {
  readonly file: string;
  readonly line: number;
}

/** Makes objects of rows. */
export interface ObjectReader {
  /** What to read of a file. */
  readonly columns: readonly string[];
  /** The id in a row. Fails if it has none. */
  idOf(row: Row, file: string): string;
  read(row: Row, file: string): ReadObject;
}

/** A longer list of links follows its object in slices. */
const sliceSize = 5_000;

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...['true', 't', 'yes', 'y', '1'].map((word) => [word, true] as const),
  ...['false', 'f', 'no', 'n', '0'].map((word) => [word, false] as const),
]);

/** @param requested columns that mapping and `include` read */
export function objectReader(settings: FlatFileStreamSettings, requested: readonly string[]): ObjectReader {
  const { key, idPrefix, lookup, types, listSeparator } = settings;
  const noValue = new Set(settings.noValue);
  const attributes = inStoredOrder(new Set([...requested, ...settings.attributes]));
  const links = Object.entries(settings.links);
  const columns = [...new Set([key, ...(lookup === undefined ? [] : [lookup]), ...attributes, ...links.map(([, link]) => link.column)])];
  const place = new Map(columns.map((column, index) => [column, index]));
  const placeOf = (column: string): number => place.get(column) as number;
  const keyPlace = placeOf(key);
  const givenIn = (cell: Cell): Cell => (typeof cell === 'string' && noValue.has(cell) ? undefined : cell);

  function single(cell: Cell, column: string, at: FilePlace): string | undefined {
    const value = givenIn(cell);
    if (typeof value !== 'object') return value === undefined ? undefined : String(value);
    throw fileFailure(at, `${column} has several values, but must have one`, 'Name another column, or have it written with one value.');
  }
  function idIn(cell: Cell, at: FilePlace): string | undefined {
    const value = single(cell, key, at);
    return value === undefined ? undefined : `${idPrefix}${value}`;
  }
  function idOf(row: Row, file: string): string {
    const at = { file, line: row.line };
    const id = idIn(row.peek?.(keyPlace), at) ?? idIn(row.cells()[keyPlace], at);
    if (id !== undefined) return id;
    throw fileFailure(at, `the row has no ${key}`, 'Nothing of the file was applied. Have every row written with its key.');
  }
  function targetsOf(cell: Cell, { separator, idPrefix: prefix }: (typeof links)[number][1]): readonly string[] {
    return [...new Set(listOf(givenIn(cell), separator).map((one) => `${prefix}${one}`))];
  }
  function attributeOf(cell: Cell, column: string, at: FilePlace): SourceValue | undefined {
    const value = givenIn(cell);
    if (value === undefined) return undefined;
    const type = types[column];
    if (type === undefined) return value;
    if (type === 'list') return listOf(value, listSeparator);
    const text = single(value, column, at) ?? '';
    const typed = typedValue(text.trim(), type) ?? (type === 'text' ? text : undefined);
    if (typed !== undefined) return typed;
    throw fileFailure(at, `${column} is no ${type}`, 'Have it written as one, or change types of the stream.');
  }
  function wholeOf(row: Row, file: string): ReadObject<ObjectItem> {
    const at = { file, line: row.line };
    const cells = row.cells();
    const id = idOf(row, file);
    const read: Record<string, SourceValue> = {};
    for (const column of attributes) {
      const value = attributeOf(cells[placeOf(column)], column, at);
      if (value !== undefined) read[column] = value;
    }
    const named = lookup === undefined ? undefined : single(cells[placeOf(lookup)], lookup, at);
    const lists = links.map(([kind, link]) => [kind, targetsOf(cells[placeOf(link.column)], link)] as const);
    const short = lists.filter(([, targets]) => targets.length <= sliceSize);
    return {
      item: {
        kind: 'object',
        id,
        ...(named === undefined ? {} : { key: named }),
        attributes: read,
        ...(links.length === 0 ? {} : { links: Object.fromEntries(short) }),
      },
      more: lists.filter((list) => !short.includes(list)).flatMap(([kind, targets]) => slices(id, kind, targets, sliceSize)),
    };
  }

  return {
    columns,
    idOf,
    read(row, file) {
      const { record } = row;
      // A row that is no longer than a slice has links for one has no list to slice.
      if (record === undefined || record.length > sliceSize) return wholeOf(row, file);
      const object = () => wholeOf(row, file).item;
      return { item: { kind: 'record', id: idOf(row, file), record, linked: links.length > 0, object }, more: [] };
    },
  };
}

/** Values of a cell, without white space around them; empty ones do not count. */
function listOf(value: Cell, separator: string | undefined): readonly string[] {
  if (value === undefined) return [];
  const values = typeof value === 'object' ? value : separator === undefined ? [String(value)] : String(value).split(separator);
  return values.map((one) => one.trim()).filter((one) => one !== '');
}

function typedValue(text: string, type: 'text' | 'integer' | 'number' | 'boolean'): SourceValue | undefined {
  switch (type) {
    case 'integer':
      return /^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
    case 'number':
      return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined;
    case 'boolean':
      return booleans.get(text.toLowerCase());
    case 'text':
      return undefined;
  }
}
