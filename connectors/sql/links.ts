import type { Item, ItemLinks } from '../../model/item.ts';
import type { Column } from './columns.ts';
import type { Database } from './database.ts';
import { joinKey } from './ids.ts';
import { keyOf, type Row } from './row.ts';
import type { LinkShape, StreamShape } from './shape.ts';
import { allOf, behind, isOneOf, qualified, statementOf } from './statement.ts';

type LinksItem = Extract<Item, { kind: 'links' }>;

/** Links of one object that link tables make: those that came whole, and long ones, if there are any, as slices, which are read as they are asked for. */
export interface LinksOfRow {
  readonly whole: ItemLinks;
  readonly slices: AsyncGenerator<LinksItem, void> | undefined;
}

const noTables: LinksOfRow = { whole: {}, slices: undefined };

/** Links of one page of objects that are read at once; objects whose links go beyond it are read one by one, in slices of this many. */
export const linksAtOnce = 20_000;

/** Reads the links of a page of rows. */
export async function linksOf(
  database: Database,
  shape: StreamShape,
  rows: readonly Row[],
  pageSize: number,
): Promise<(row: Row) => LinksOfRow> {
  const { links, plan } = shape;
  if (links.length === 0) return () => noTables;
  const limit = Math.max(linksAtOnce, pageSize);
  const read = new Map<LinkShape, ReadonlyMap<string, readonly string[]> | undefined>();
  const keys = rows.map((row) => keyOf(shape, row));
  for (const link of links) read.set(link, await readTogether(database, link, keys, limit, plan.name));
  const whole = links.filter((link) => read.get(link) !== undefined);
  const long = links.filter((link) => read.get(link) === undefined);
  return (row) => {
    const key = keyOf(shape, row);
    const joined = joinKey(key);
    return {
      whole: Object.fromEntries(whole.map((link) => [link.plan.kind, read.get(link)?.get(joined) ?? []])),
      slices: long.length === 0 ? undefined : slicesOf(database, long, row.id, key, limit, plan.name),
    };
  };
}

/** Lets the database look at the statements that read links, without reading any. */
export async function probeLinks(database: Database, { links, plan }: StreamShape): Promise<void> {
  for (const { from, plan: link } of links) {
    const text = `select 1 as tidemark_found from ${from}${allOf(['1 = 0', ...link.conditions])}`;
    await database.ask({ text, parameters: [] }, `links of kind ${link.kind} of stream ${plan.name}`);
  }
}

/** Joined key to targets; `undefined` if there are more than the limit. */
async function readTogether(
  database: Database,
  link: LinkShape,
  keys: readonly (readonly string[])[],
  limit: number,
  stream: string,
): Promise<ReadonlyMap<string, readonly string[]> | undefined> {
  const targets = new Map<string, string[]>();
  // Half of the rows at a time keeps a statement's parameters below what every database takes.
  for (let start = 0; start < keys.length; start += 500) {
    const found = await readLinks(database, link, keys.slice(start, start + 500), undefined, limit + 1, stream);
    if (found.length > limit) return undefined;
    for (const { from, to } of found) {
      const of = targets.get(joinKey(from));
      const target = `${link.plan.idPrefix}${joinKey(to)}`;
      if (of === undefined) targets.set(joinKey(from), [target]);
      else of.push(target);
    }
  }
  return targets;
}

async function* slicesOf(
  database: Database,
  links: readonly LinkShape[],
  id: string,
  key: readonly string[],
  limit: number,
  stream: string,
): AsyncGenerator<LinksItem, void> {
  for (const link of links) {
    let last: readonly string[] | undefined;
    for (;;) {
      const found = await readLinks(database, link, [key], last, limit + 1, stream);
      const isLast = found.length <= limit;
      const given = isLast ? found : found.slice(0, limit);
      const targets = given.map(({ to }) => `${link.plan.idPrefix}${joinKey(to)}`);
      yield { kind: 'links', id, link: link.plan.kind, targets, last: isLast };
      if (isLast) break;
      last = given.at(-1)?.to;
    }
  }
}

/** Links from these keys, in the order of their targets behind the last one. */
async function readLinks(
  database: Database,
  { from, fromColumns, toColumns, plan }: LinkShape,
  keys: readonly (readonly string[])[],
  last: readonly string[] | undefined,
  limit: number,
  stream: string,
): Promise<readonly { readonly from: readonly string[]; readonly to: readonly string[] }[]> {
  const { dialect } = database;
  const builder = statementOf(dialect);
  const name = (column: Column): string => qualified(dialect, column);
  const columns = [...fromColumns, ...toColumns].map((column, index) => `${name(column)} as ${dialect.quote(`tidemark_${index}`)}`);
  const conditions = [
    isOneOf(builder, fromColumns, keys),
    ...toColumns.map((column) => `${name(column)} is not null`),
    ...plan.conditions,
    ...(last === undefined ? [] : [behind(builder, toColumns, last)]),
  ];
  const text = `select distinct ${columns.join(', ')} from ${from}${allOf(conditions)} order by ${toColumns.map(name).join(', ')}`;
  const { rows } = await database.ask(builder.build(dialect.limited(text, limit)), `links of kind ${plan.kind} of stream ${stream}`);
  return rows.map((cells) => {
    const values = cells.map((cell) => cell ?? '');
    return { from: values.slice(0, fromColumns.length), to: values.slice(fromColumns.length) };
  });
}
