import type { Filter } from 'ldapts';
import type { Item } from '../../model/item.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { type Scope, scopeWithin } from '../directory/scope.ts';
import type { EntryReader } from './entry-reader.ts';
import type { StreamPlan } from './streams.ts';

/** One part of a stream's scope, and what to look for in it. */
export interface StreamSearch {
  readonly base: string;
  readonly scope: 'one' | 'sub';
  readonly filter: Filter;
  readonly pageSize: number;
  /** A base that does not exist has nothing in it. Default: the search fails. */
  readonly missing?: 'empty';
}

/** Reads objects of one stream. */
export interface StreamReader {
  readonly plan: StreamPlan;
  readonly filter: Filter;
  /** Turns entries into items. */
  readonly entries: EntryReader;
  /** Items page by page; ends when the server said that there are no more. */
  search(search: StreamSearch): AsyncGenerator<readonly Item[], void>;
  /** The part of the stream's scope that lies at or below a DN; `undefined` if there is none. */
  within(dn: string): Scope | undefined;
}

/** The most entries a page may have if each may carry a list of references: bounds the memory of a page. */
const pageSizeWithLists = 200;

export function streamReader(connection: DirectoryConnection, plan: StreamPlan, filter: Filter, entries: EntryReader): StreamReader {
  return {
    plan,
    filter,
    entries,
    async *search({ base, scope, filter: wanted, pageSize, missing }) {
      const pages = connection.pages(
        { base, scope, filter: wanted, attributes: entries.attributes, controls: entries.controls(), what: `stream ${plan.name}` },
        entries.hasLists ? Math.min(pageSize, pageSizeWithLists) : pageSize,
        missing,
      );
      for await (const page of pages) {
        let items: Item[] = [];
        for (const entry of page) {
          const { item, more } = await entries.read(entry);
          items.push(item, ...more);
          // An object with a list that is too long for it goes on at once: a page may hold many of them.
          if (more.length > 0) {
            yield items;
            items = [];
          }
        }
        if (items.length > 0) yield items;
      }
    },
    within: (dn) => scopeWithin(plan, dn),
  };
}
