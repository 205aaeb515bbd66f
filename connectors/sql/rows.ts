import { TidemarkFailure } from '../../model/failure.ts';
import type { Found, Item } from '../../model/item.ts';
import { type Column, fits } from './columns.ts';
import type { Database } from './database.ts';
import { splitKey } from './ids.ts';
import { linksAtOnce, linksOf } from './links.ts';
import { flagsOf, keyOf, missingKey, objectOf, type Row, RowRecord, rowOf } from './row.ts';
import type { StreamShape } from './shape.ts';
import { allOf, type Builder, behind, isOneOf, qualified, statementOf } from './statement.ts';

/** How the rows of a page follow each other: by these columns, then by the key. */
export interface PageOrder {
  readonly columns: readonly Column[];
  /** Conditions of the rows. */
  readonly where: (builder: Builder) => readonly string[];
}

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
  const orderAt = shape.columns.length + flagsOf(shape).length;
  const orderOf = ({ cells }: Row): readonly string[] => order.columns.map((_, index) => cells[orderAt + index] ?? '');
  let last: Row | undefined;
  for (;;) {
    const builder = statementOf(dialect);
    const list = selectList(builder, shape, order.columns);
    const conditions = [
      ...order.where(builder),
      ...(last === undefined ? [] : [behind(builder, columns, [...orderOf(last), ...keyOf(shape, last)])]),
    ];
    const text = `select ${list} from ${shape.from}${allOf(conditions)} order by ${columns.map((column) => qualified(dialect, column)).join(', ')}`;
    const { rows } = await database.ask(builder.build(dialect.limited(text, pageSize + 1)), what);
    const page = rows.map((cells) => rowOf(shape, cells));
    page.forEach((row, index) => {
      const before = index === 0 ? last : page[index - 1];
      if (before?.id === row.id && orderOf(before).join('\0') === orderOf(row).join('\0')) throw repeatedKey(shape);
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
      const row = rowOf(shape, cells);
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
  for await (const page of objectPages(database, shape, found, pageSize)) {
    for (const item of page) items.set(item.id, [...(items.get(item.id) ?? []), item]);
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

/** What a row of a stream gives: its object, and the slices of its links that are too many for that. */
type RowItem = Exclude<Item, { kind: 'gone' } | { kind: 'unmatched' }>;

/** The items of rows that are in scope, each object followed by the slices of its links, in pages that do not grow with the number of links. */
export async function* objectPages(
  database: Database,
  shape: StreamShape,
  rows: readonly Row[],
  pageSize: number,
): AsyncGenerator<readonly RowItem[], void> {
  const linksOfRow = await linksOf(database, shape, rows, pageSize);
  let page: RowItem[] = [];
  let links = 0;
  for (const row of rows) {
    const { id, cells } = row;
    const { whole, slices } = linksOfRow(row);
    if (slices === undefined) {
      page.push(new RowRecord(shape, id, cells, whole));
      continue;
    }
    // A list that comes in slices is in no record.
    page.push(objectOf(shape, id, cells, whole));
    for await (const slice of slices) {
      page.push(slice);
      links += slice.targets.length;
      if (links < linksAtOnce) continue;
      yield page;
      page = [];
      links = 0;
    }
  }
  if (page.length > 0) yield page;
}

function selectList(builder: Builder, shape: StreamShape, order: readonly Column[]): string {
  const { dialect } = builder;
  const named = (column: Column): string => qualified(dialect, column);
  const flags = flagsOf(shape).map((condition) => `case when (${condition}) then 1 else 0 end`);
  // A subselect may not have two columns of one name.
  return [...shape.columns.map(named), ...flags, ...order.map(named)]
    .map((value, index) => `${value} as ${dialect.quote(`tidemark_${index}`)}`)
    .join(', ');
}

function repeatedKey({ plan }: StreamShape): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `Stream ${plan.name}: two rows have the same key (${plan.key.join(', ')})`, {
    stream: plan.name,
    remedy: 'Name a key that is unique; a query that joins other tables must still give one row for each object.',
  });
}
