import { hash } from 'node:crypto';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item, ItemLinks, ObjectItem, RecordItem, SourceValue } from '../../model/item.ts';
import { attributeOf, type Cell, type Column, fits } from './columns.ts';
import type { Database } from './database.ts';
import { joinKey, splitKey } from './ids.ts';
import { linksAtOnce, linksOf } from './links.ts';
import type { StreamShape } from './shape.ts';
import { allOf, type Builder, behind, isOneOf, qualified, statementOf } from './statement.ts';

/** One row, as far as it tells what its object is. */
export interface Row {
  readonly id: string;
  /** The values of the key's columns. */
  readonly key: readonly string[];
  readonly state: 'found' | 'out-of-scope' | 'deleted';
  /** Its values in the order of the select list, behind flags and order. */
  readonly cells: readonly Cell[];
  /** The values of the columns that the rows were ordered by, ahead of the key. */
  readonly order: readonly string[];
}

/** How the rows of a page follow each other: by these columns, then by the key. */
export interface PageOrder {
  readonly columns: readonly Column[];
  /** Conditions of the rows. */
  readonly where: (builder: Builder) => readonly string[];
}

/** Columns of the select list ahead of all others. */
const flags = 2;

/** Ids asked for at once. */
const idsAtOnce = 500;

/**
 * Rows page by page, each page behind the last row of the one before (keyset): nothing is skipped where rows are equal in what they are ordered by.
 * Fails with `ListingIncomplete` where the key is not unique, for a page would then not know where it begins.
 */
export async function* readPages(
  database: Database,
  shape: StreamShape,
  order: PageOrder,
  pageSize: number,
  what: string,
): AsyncGenerator<readonly Row[], void> {
  const { dialect } = database;
  const columns = [...order.columns, ...shape.key];
  let last: Row | undefined;
  for (;;) {
    const builder = statementOf(dialect);
    const list = selectList(builder, shape, order.columns);
    const conditions = [...order.where(builder), ...(last === undefined ? [] : [behind(builder, columns, [...last.order, ...last.key])])];
    const text = `select ${list} from ${shape.from}${allOf(conditions)} order by ${columns.map((column) => qualified(dialect, column)).join(', ')}`;
    const { rows } = await database.ask(builder.build(dialect.limited(text, pageSize + 1)), what);
    const page = rows.map((cells) => rowOf(shape, cells, order.columns));
    page.forEach((row, index) => {
      const before = index === 0 ? last : page[index - 1];
      if (before !== undefined && same(before, row)) throw repeatedKey(shape);
    });
    const isLast = page.length <= pageSize;
    const given = isLast ? page : page.slice(0, pageSize);
    if (given.length > 0) yield given;
    if (isLast) return;
    last = given.at(-1);
  }
}

/** Reads rows by their keys. What is not there has no entry. */
export async function readRows(database: Database, shape: StreamShape, ids: readonly string[]): Promise<ReadonlyMap<string, Row>> {
  const keys = ids.flatMap((id) => {
    const key = id.startsWith(shape.plan.idPrefix) ? splitKey(id.slice(shape.plan.idPrefix.length), shape.key.length) : undefined;
    return key?.every((part, index) => fits(shape.key[index] as Column, part)) === true ? [key] : [];
  });
  const found = new Map<string, Row>();
  for (let start = 0; start < keys.length; start += idsAtOnce) {
    const builder = statementOf(database.dialect);
    const list = selectList(builder, shape, []);
    const condition = isOneOf(builder, shape.key, keys.slice(start, start + idsAtOnce));
    const { rows } = await database.ask(
      builder.build(`select ${list} from ${shape.from}${allOf([condition])}`),
      `rows of stream ${shape.plan.name} by their keys`,
    );
    for (const cells of rows) {
      const row = rowOf(shape, cells, []);
      if (found.has(row.id)) throw repeatedKey(shape);
      found.set(row.id, row);
    }
  }
  return found;
}

/** Fails unless all rows have a key: a page that begins behind another one never gives those that have none. */
export async function requireKeys(database: Database, shape: StreamShape): Promise<void> {
  const { dialect } = database;
  const [first] = shape.key;
  if (first === undefined) return;
  const withoutKey = shape.key.map((column) => `${qualified(dialect, column)} is null`).join(' or ');
  const conditions = [withoutKey, ...(shape.plan.where === undefined ? [] : [shape.plan.where])];
  const text = `select 1 as tidemark_found from ${shape.from}${allOf(conditions)} order by ${qualified(dialect, first)}`;
  const { rows } = await database.ask(
    { text: dialect.limited(text, 1), parameters: [] },
    `rows of stream ${shape.plan.name} without a key`,
  );
  if (rows.length > 0) throw missingKey(shape);
}

/** Lets the database look at the statement that reads rows, without reading any. */
export async function probeRows(database: Database, shape: StreamShape): Promise<void> {
  const builder = statementOf(database.dialect);
  const text = `select ${selectList(builder, shape, [])} from ${shape.from} where 1 = 0`;
  await database.ask(builder.build(text), `rows of stream ${shape.plan.name}`);
}

/** What a read by ids found: the whole object, with its links. A table without the row has lost it; a query may leave it out for any reason. */
export async function findByIds(
  database: Database,
  shape: StreamShape,
  ids: readonly string[],
  pageSize: number,
): Promise<ReadonlyMap<string, Found>> {
  const rows = await readRows(database, shape, ids);
  const items = new Map<string, Item[]>();
  const found = ids.flatMap((id) => {
    const row = rows.get(id);
    return row?.state === 'found' ? [row] : [];
  });
  for await (const item of itemsOf(database, shape, found, pageSize)) {
    if (item.kind === 'unmatched') continue;
    items.set(item.id, [...(items.get(item.id) ?? []), item]);
  }
  return new Map(
    ids.map((id): readonly [string, Found] => {
      const [item, ...more] = items.get(id) ?? [];
      if (item?.kind === 'object' || item?.kind === 'record')
        return [id, { kind: 'found', item, more: more.filter((slice) => slice.kind === 'links') }];
      const state = rows.get(id)?.state;
      if (state === 'out-of-scope' || (state === undefined && 'query' in shape.plan.relation)) return [id, { kind: 'out-of-scope' }];
      return [id, { kind: 'gone' }];
    }),
  );
}

/** The items of rows that are in scope, in pages that do not grow with the number of links. */
export async function* objectPages(
  database: Database,
  shape: StreamShape,
  rows: readonly Row[],
  pageSize: number,
): AsyncGenerator<readonly Item[], void> {
  let page: Item[] = [];
  let links = 0;
  for await (const item of itemsOf(database, shape, rows, pageSize)) {
    page.push(item);
    if (item.kind === 'links') links += item.targets.length;
    if (links < linksAtOnce) continue;
    yield page;
    page = [];
    links = 0;
  }
  if (page.length > 0) yield page;
}

/** The items of rows that are in scope, each object followed by the slices of its links that are too many for it. */
async function* itemsOf(database: Database, shape: StreamShape, rows: readonly Row[], pageSize: number): AsyncGenerator<Item, void> {
  const linksOfRow = await linksOf(database, shape, rows, pageSize);
  // What a value means follows from its column, as the database has it now.
  const layout = hash('sha256', JSON.stringify(shape.attributes.map(({ name, column }) => [name, column.kind])));
  for (const row of rows) {
    const { whole, slices } = linksOfRow(row);
    // A list that comes in slices is in no record.
    if (Object.keys(whole).length < shape.links.length) {
      yield objectOf(shape, row.id, [row.cells, whole]);
      yield* slices;
      continue;
    }
    yield recordOf(shape, layout, row.id, [row.cells, whole]);
  }
}

/** The values of a row, and the links that tables of links make. */
type Content = readonly [readonly Cell[], ItemLinks];

/** Where everything is new the object is asked for at once, and made of the values; a second time, where PostgreSQL refused its page, of the record. */
function recordOf(shape: StreamShape, layout: string, id: string, content: Content): RecordItem {
  const record = `${layout}${JSON.stringify(content)}`;
  let fresh: Content | undefined = content;
  const object = () => {
    const values = fresh ?? (JSON.parse(record.slice(layout.length)) as Content);
    fresh = undefined;
    return objectOf(shape, id, values);
  };
  return { kind: 'record', id, record, linked: isLinked(shape), object };
}

function isLinked({ references, links }: StreamShape): boolean {
  return references.length + links.length > 0;
}

function objectOf(shape: StreamShape, id: string, [cells, whole]: Content): ObjectItem {
  let next = shape.key.length;
  const take = (): Cell => cells[next++] ?? null;
  const key = shape.lookupKey === undefined ? null : take();
  const references = shape.references.map(({ kind, columns, idPrefix }) => {
    const parts = columns.map(take);
    return [kind, parts.every((part) => part !== null) ? [`${idPrefix}${joinKey(parts)}`] : []] as const;
  });
  const attributes: Record<string, SourceValue> = {};
  for (const { name, column } of shape.attributes) {
    const cell = take();
    if (cell !== null) attributes[name] = attributeOf(column.kind, cell);
  }
  return {
    kind: 'object',
    id,
    ...(key === null ? {} : { key }),
    attributes,
    ...(isLinked(shape) ? { links: { ...Object.fromEntries(references), ...whole } } : {}),
  };
}

function selectList(builder: Builder, { attributes, key, lookupKey, references, plan }: StreamShape, order: readonly Column[]): string {
  const { dialect } = builder;
  const columns = [
    ...order,
    ...key,
    ...(lookupKey === undefined ? [] : [lookupKey]),
    ...references.flatMap((reference) => reference.columns),
    ...attributes.map(({ column }) => column),
  ];
  const flag = (condition: string | undefined, absent: number, name: string): string =>
    `${condition === undefined ? absent : `case when (${condition}) then 1 else 0 end`} as ${dialect.quote(name)}`;
  return [
    flag(plan.where, 1, 'tidemark_in_scope'),
    flag(plan.deletedWhen, 0, 'tidemark_deleted'),
    // One column may be asked for more than once, and a subselect may not have two of one name.
    ...columns.map((column, index) => `${qualified(dialect, column)} as ${dialect.quote(`tidemark_${index}`)}`),
  ].join(', ');
}

function rowOf(shape: StreamShape, cells: readonly Cell[], order: readonly Column[]): Row {
  const [inScope, deleted] = cells;
  const values = cells.slice(flags + order.length);
  const key = values.slice(0, shape.key.length);
  if (!key.every((part) => part !== null)) throw missingKey(shape);
  const isSet = (cell: Cell | undefined): boolean => Number(cell) === 1;
  return {
    id: `${shape.plan.idPrefix}${joinKey(key)}`,
    key,
    state: isSet(deleted) ? 'deleted' : isSet(inScope) ? 'found' : 'out-of-scope',
    cells: values,
    order: order.map((_, index) => cells[flags + index] ?? ''),
  };
}

function same(a: Row, b: Row): boolean {
  return a.id === b.id && a.order.every((value, index) => value === b.order[index]);
}

function repeatedKey({ plan }: StreamShape): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `Stream ${plan.name}: two rows have the same key (${plan.key.join(', ')})`, {
    stream: plan.name,
    remedy: 'Name a key that is unique; a query that joins other tables must still give one row for each object.',
  });
}

function missingKey({ plan }: StreamShape): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `Stream ${plan.name}: a row has no value in its key (${plan.key.join(', ')})`, {
    stream: plan.name,
    remedy: 'Name a key that every row has, or leave such rows out of the query.',
  });
}
