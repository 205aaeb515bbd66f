import type { Item, SourceValue } from '../../model/item.ts';
import { slices } from '../directory/items.ts';
import { fileFailure } from './failures.ts';
import type { Cell, Row } from './rows.ts';
import type { FlatFileStreamSettings } from './settings.ts';

/** What one row says. `more`: slices of its long lists. */
export interface ReadObject {
  readonly item: Extract<Item, { kind: 'object' }>;
  readonly more: readonly Extract<Item, { kind: 'links' }>[];
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
  const attributes = [...new Set([...requested, ...settings.attributes])];
  const links = Object.entries(settings.links);
  const columns = [...new Set([key, ...(lookup === undefined ? [] : [lookup]), ...attributes, ...links.map(([, link]) => link.column)])];
  const place = new Map(columns.map((column, index) => [column, index]));
  const cell = (row: Row, column: string): Cell => {
    const value = row.cells[place.get(column) as number];
    return typeof value === 'string' && noValue.has(value) ? undefined : value;
  };

  function single(row: Row, column: string, file: string): string | undefined {
    const value = cell(row, column);
    if (typeof value !== 'object') return value === undefined ? undefined : String(value);
    throw fileFailure(
      { file, line: row.line },
      `${column} has several values, but must have one`,
      'Name another column, or have it written with one value.',
    );
  }
  function idOf(row: Row, file: string): string {
    const value = single(row, key, file);
    if (value !== undefined) return `${idPrefix}${value}`;
    throw fileFailure(
      { file, line: row.line },
      `the row has no ${key}`,
      'Nothing of the file was applied. Have every row written with its key.',
    );
  }
  function targetsOf(row: Row, { column, separator, idPrefix: prefix }: (typeof links)[number][1]): readonly string[] {
    const value = cell(row, column);
    const keys = listOf(value, separator);
    return [...new Set(keys.map((one) => `${prefix}${one}`))];
  }
  function attributeOf(row: Row, column: string, file: string): SourceValue | undefined {
    const value = cell(row, column);
    if (value === undefined) return undefined;
    const type = types[column];
    if (type === undefined) return value;
    if (type === 'list') return listOf(value, listSeparator);
    const text = single(row, column, file) ?? '';
    const typed = typedValue(text.trim(), type) ?? (type === 'text' ? text : undefined);
    if (typed !== undefined) return typed;
    throw fileFailure({ file, line: row.line }, `${column} is no ${type}`, 'Have it written as one, or change types of the stream.');
  }

  return {
    columns,
    idOf,
    read(row, file) {
      const id = idOf(row, file);
      const read: Record<string, SourceValue> = {};
      for (const column of attributes) {
        const value = attributeOf(row, column, file);
        if (value !== undefined) read[column] = value;
      }
      const named = lookup === undefined ? undefined : single(row, lookup, file);
      const lists = links.map(([kind, link]) => [kind, targetsOf(row, link)] as const);
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
