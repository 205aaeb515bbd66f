import { AndFilter, EqualityFilter, type Filter, OrFilter } from 'ldapts';
import type { Item } from '../../model/item.ts';
import type { Marker } from '../../model/marker.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import type { Scope } from '../directory/scope.ts';
import type { EntryReader, ReadEntry } from './entry-reader.ts';
import type { References } from './references.ts';
import type { StreamPlan } from './streams.ts';

/** Reads entries of one stream. */
export interface StreamReader {
  readonly plan: StreamPlan;
  readonly filter: Filter;
  readonly entries: EntryReader;
  /** References of one read: of everything that was there at a position, if one is given. */
  references(at?: Marker): References;
  /**
   * Items page by page; ends when the server said that there are no more.
   *
   * @param scope a part of the stream's scope. Default: all of it
   * @param missing a base that does not exist has nothing in it. Default: the search fails
   */
  search(references: References, filter: Filter, scope?: Scope, missing?: 'empty'): AsyncGenerator<readonly Item[], void>;
  /** Entries of the stream by their ids. */
  byIds(references: References, ids: readonly string[]): AsyncGenerator<readonly ReadEntry[], void>;
}

/** The most entries a page may have if each may carry a list of references: bounds the memory of a page. */
const pageSizeWithLists = 200;

/** Ids in one search. */
export const idsAtOnce = 100;

export function streamReader(options: {
  readonly connection: DirectoryConnection;
  readonly plan: StreamPlan;
  readonly filter: Filter;
  readonly entries: EntryReader;
  readonly references: (at?: Marker) => References;
  readonly pageSize: number;
}): StreamReader {
  const { connection, plan, filter: whole, entries, pageSize } = options;

  async function* read(
    references: References,
    filter: Filter,
    { base, scope }: Scope,
    missing?: 'empty',
  ): AsyncGenerator<readonly ReadEntry[], void> {
    const pages = connection.pages(
      { base, scope, filter, attributes: entries.attributes, what: `stream ${plan.name}` },
      entries.hasLists ? Math.min(pageSize, pageSizeWithLists) : pageSize,
      missing,
    );
    for await (const page of pages) yield await entries.read(page, references);
  }

  return {
    plan,
    filter: whole,
    entries,
    references: options.references,
    async *search(references, filter, scope = plan, missing) {
      for await (const page of read(references, filter, scope, missing)) yield* itemsOf(page);
    },
    async *byIds(references, ids) {
      for (let start = 0; start < ids.length; start += idsAtOnce) {
        const filter = new AndFilter({ filters: [whole, anyOf('entryUUID', ids.slice(start, start + idsAtOnce))] });
        yield* read(references, filter, plan);
      }
    },
  };
}

/** An object with a list that is too long for it goes on at once: a page may hold many of them. */
export function* itemsOf(page: readonly ReadEntry[]): Generator<readonly Item[], void> {
  let items: Item[] = [];
  for (const { item, more } of page) {
    items.push(item, ...more);
    if (more.length > 0) {
      yield items;
      items = [];
    }
  }
  if (items.length > 0) yield items;
}

/** The condition that an attribute has one of these values. */
export function anyOf(attribute: string, values: readonly string[]): Filter {
  return new OrFilter({ filters: values.map((value) => new EqualityFilter({ attribute, value })) });
}
