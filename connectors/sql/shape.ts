import { hash } from 'node:crypto';
import { inStoredOrder } from '../../model/canonical.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Column } from './columns.ts';
import type { Database } from './database.ts';
import type { Dialect } from './dialect.ts';
import type { LinkPlan, Relation, StreamPlan, Tracker } from './streams.ts';

export interface TrackerShape {
  readonly tracker: Tracker;
  /** For a `from` clause; statements call it `q`. */
  readonly from: string;
  /** Absent for xmin. */
  readonly column: Column | undefined;
  readonly key: readonly Column[];
}

export interface LinkShape {
  readonly plan: LinkPlan;
  readonly from: string;
  readonly fromColumns: readonly Column[];
  readonly toColumns: readonly Column[];
}

/** A column and its place among the values of a row. */
export interface PlacedColumn {
  readonly column: Column;
  readonly at: number;
}

/** A stream's plan with the columns that it names, as the database has them. */
export interface StreamShape {
  readonly plan: StreamPlan;
  readonly from: string;
  readonly key: readonly Column[];
  /** What a row's object is made of, in the order of its values: the columns of the key, then each other one once. */
  readonly columns: readonly Column[];
  readonly lookupKey: PlacedColumn | undefined;
  readonly references: readonly { readonly kind: string; readonly columns: readonly PlacedColumn[]; readonly idPrefix: string }[];
  /** The attributes to give, under the names they were asked for by. */
  readonly attributes: readonly (PlacedColumn & { readonly name: string })[];
  /** Digest of what a row's values mean: that follows from the columns, as the database has them now. */
  readonly layout: string;
  readonly links: readonly LinkShape[];
  readonly trackers: readonly TrackerShape[];
}

/** Asks the database for the columns of all that a stream reads. Fails with `InvalidConfiguration` if one is missing. */
export async function readShape(database: Database, plan: StreamPlan, requested: readonly string[]): Promise<StreamShape> {
  const { dialect } = database;
  const known = new Map<string, Promise<readonly Column[]>>();
  const columnsOf = (from: string): Promise<readonly Column[]> => {
    const reading = known.get(from) ?? readColumns(database, from, plan.name);
    known.set(from, reading);
    return reading;
  };
  const resolve = async (relation: Relation, names: readonly string[]): Promise<readonly Column[]> => {
    const from = fromOf(dialect, relation);
    const columns = await columnsOf(from);
    return names.map((name) => columnOf(columns, name, dialect) ?? missing(name, relation, plan.name, columns));
  };
  const attributes = inStoredOrder(new Set(requested));
  const key = await resolve(plan.relation, plan.key);
  const columns = [...key];
  const place = (column: Column): PlacedColumn => {
    const found = columns.findIndex(({ name }) => name === column.name);
    return { column, at: found === -1 ? columns.push(column) - 1 : found };
  };
  const trackers: TrackerShape[] = [];
  for (const tracker of plan.trackers) {
    const [column] = tracker.column === undefined ? [] : await resolve(tracker.relation, [tracker.column]);
    trackers.push({ tracker, from: fromOf(dialect, tracker.relation), column, key: await resolve(tracker.relation, tracker.key) });
  }
  const links: LinkShape[] = [];
  for (const link of plan.links) {
    const relation = { table: link.table };
    links.push({
      plan: link,
      from: fromOf(dialect, relation),
      fromColumns: await resolve(relation, link.from),
      toColumns: await resolve(relation, link.to),
    });
  }
  const references: StreamShape['references'][number][] = [];
  const [named] = plan.lookupKey === undefined ? [] : await resolve(plan.relation, [plan.lookupKey]);
  const lookupKey = named && place(named);
  for (const { kind, idPrefix, columns: names } of plan.references) {
    references.push({ kind, idPrefix, columns: (await resolve(plan.relation, names)).map(place) });
  }
  const given = await resolve(plan.relation, attributes);
  const placed = attributes.map((name, index) => ({ name, ...place(given[index] as Column) }));
  const meaning = [
    lookupKey?.at,
    references.map(({ kind, idPrefix, columns: parts }) => [kind, idPrefix, parts.map(({ at }) => at)]),
    placed.map(({ name, column, at }) => [name, column.kind, at]),
  ];
  return {
    plan,
    from: fromOf(dialect, plan.relation),
    key,
    columns,
    lookupKey,
    references,
    attributes: placed,
    layout: hash('sha256', JSON.stringify(meaning)),
    links,
    trackers,
  };
}

async function readColumns(database: Database, from: string, stream: string): Promise<readonly Column[]> {
  const { columns } = await database.ask({ text: `select * from ${from} where 1 = 0`, parameters: [] }, `the columns of stream ${stream}`);
  return columns;
}

/** The parts of a table's name, as the database spells them. */
export function tableParts(dialect: Dialect, table: string): readonly string[] {
  return [...table.matchAll(/"([^"]+)"|([^".]+)/g)].map(([, quoted, plain]) => quoted ?? dialect.fold(plain ?? ''));
}

export function fromOf(dialect: Dialect, relation: Relation): string {
  if ('query' in relation) return `(${relation.query}) q`;
  return `${tableParts(dialect, relation.table).map(dialect.quote).join('.')} q`;
}

/** The column of this name: in double quotes exactly it; else as the database folds it, or however it is capitalised if only one is. */
function columnOf(columns: readonly Column[], name: string, { fold }: Dialect): Column | undefined {
  const quoted = /^"(.+)"$/.exec(name)?.[1];
  const exact = columns.find((column) => column.name === (quoted ?? name));
  if (exact !== undefined || quoted !== undefined) return exact;
  const folded = columns.find((column) => column.name === fold(name));
  if (folded !== undefined) return folded;
  const [only, ...others] = columns.filter((column) => column.name.toLowerCase() === name.toLowerCase());
  return others.length === 0 ? only : undefined;
}

function missing(name: string, relation: Relation, stream: string, columns: readonly Column[]): never {
  const place = 'table' in relation ? relation.table : 'the query';
  throw new TidemarkFailure('InvalidConfiguration', `Stream ${stream}: ${place} has no column ${name}`, {
    stream,
    remedy: `It has: ${columns.map((column) => column.name).join(', ')}. Correct the stream's block, or the attribute that its mapping or include reads.`,
  });
}
