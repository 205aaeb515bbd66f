import { TidemarkFailure } from '../../model/failure.ts';
import type { ItemLinks, ObjectItem, RecordItem, SourceValue } from '../../model/item.ts';
import { attributeOf, type Cell } from './columns.ts';
import { joinKey } from './ids.ts';
import type { StreamShape } from './shape.ts';

/** One row, as far as it tells what its object is. */
export interface Row {
  readonly id: string;
  readonly state: 'found' | 'out-of-scope' | 'deleted';
  /** Its values in the order of the select list: those of the stream's columns, the flags, and what the rows are ordered by. */
  readonly cells: readonly Cell[];
}

/** Conditions whose outcome is a value of each row, 1 or 0, behind those of its columns. */
export function flagsOf({ plan }: StreamShape): readonly string[] {
  return [plan.where, plan.deletedWhen].filter((condition) => condition !== undefined);
}

export function rowOf(shape: StreamShape, cells: readonly Cell[]): Row {
  const { where, deletedWhen } = shape.plan;
  let at = shape.columns.length;
  const isSet = (): boolean => Number(cells[at++]) === 1;
  const inScope = where === undefined || isSet();
  const state = deletedWhen !== undefined && isSet() ? 'deleted' : inScope ? 'found' : 'out-of-scope';
  return { id: `${shape.plan.idPrefix}${joinKey(keyOf(shape, { cells }))}`, state, cells };
}

/** The values of the key's columns. */
export function keyOf(shape: StreamShape, { cells }: Pick<Row, 'cells'>): readonly string[] {
  const key = cells.slice(0, shape.key.length);
  if (!key.every((part) => part !== null)) throw missingKey(shape);
  return key;
}

/**
 * A row's record: its values, and the links that tables of links make. Where everything is new the object is asked for at once, and made of the
 * values; a second time, where PostgreSQL refused its page, of the record.
 */
export class RowRecord implements RecordItem {
  readonly kind = 'record';
  readonly id: string;
  readonly record: string;
  readonly linked: boolean;
  readonly #shape: StreamShape;
  #cells: readonly Cell[] | undefined;
  readonly #whole: ItemLinks;

  constructor(shape: StreamShape, id: string, cells: readonly Cell[], whole: ItemLinks) {
    this.id = id;
    this.record = `${shape.layout}${JSON.stringify([cells.slice(0, shape.columns.length), whole])}`;
    this.linked = isLinked(shape);
    this.#shape = shape;
    this.#cells = cells;
    this.#whole = whole;
  }

  object(): ObjectItem {
    const cells = this.#cells ?? (JSON.parse(this.record.slice(this.#shape.layout.length)) as readonly [readonly Cell[]])[0];
    this.#cells = undefined;
    return objectOf(this.#shape, this.id, cells, this.#whole);
  }
}

function isLinked({ references, links }: StreamShape): boolean {
  return references.length + links.length > 0;
}

export function objectOf(shape: StreamShape, id: string, cells: readonly Cell[], whole: ItemLinks): ObjectItem {
  const key = shape.lookupKey === undefined ? null : (cells[shape.lookupKey.at] ?? null);
  const links: Record<string, readonly string[]> = {};
  for (const { kind, columns, idPrefix } of shape.references) {
    const parts = columns.map(({ at }) => cells[at] ?? null);
    links[kind] = parts.every((part) => part !== null) ? [`${idPrefix}${joinKey(parts)}`] : [];
  }
  const attributes: Record<string, SourceValue> = {};
  for (const { name, column, at } of shape.attributes) {
    const cell = cells[at] ?? null;
    if (cell !== null) attributes[name] = attributeOf(column.kind, cell);
  }
  return {
    kind: 'object',
    id,
    ...(key === null ? {} : { key }),
    attributes,
    ...(isLinked(shape) ? { links: Object.assign(links, whole) } : {}),
  };
}

export function missingKey({ plan }: StreamShape): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `Stream ${plan.name}: a row has no value in its key (${plan.key.join(', ')})`, {
    stream: plan.name,
    remedy: 'Name a key that every row has, or leave such rows out of the query.',
  });
}
