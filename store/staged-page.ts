import type { LinksHash } from '../model/canonical.ts';
import type { ObjectItem, RecordItem } from '../model/item.ts';
import { type RowBuffer, rowBuffer } from './copy.ts';
import type { ListedLinks, ListedObject } from './sql/create-objects.ts';
import { hashesBytes, type ReadObject } from './sql/stage-present.ts';

/** An object in hand, whose links may still be coming. */
export interface OpenObject extends ReadObject {
  /** Why it can't be stored at all. */
  readonly problem: string | undefined;
  readonly item: ObjectItem;
  readonly links: LinksHash;
  readonly kinds: Set<string>;
  /** Lists that wait, and how many links they have together. */
  lists: ListedLinks[];
  waiting: number;
  /** Links that were given so far. */
  given: number;
}

/** A record with its hash. Its object is made when its rows are, and not kept: what lives as long as a page is what collecting garbage costs time for. */
export interface HashedRecord extends ReadObject {
  readonly problem: string | undefined;
  readonly item: RecordItem;
  readonly hash: Buffer;
}

/** The links of an object that has them all. */
export function linksIn({ links = {} }: ObjectItem): Pick<OpenObject, 'kinds' | 'lists' | 'waiting' | 'given'> {
  const lists = Object.entries(links).map(([kind, targets]) => ({ kind, targets }));
  const given = lists.reduce((sum, { targets }) => sum + targets.length, 0);
  return { kinds: new Set(Object.keys(links)), lists, waiting: given, given };
}

/** An object that waits to be compared with what is stored. */
export interface AskedObject extends ReadObject {
  readonly given: OpenObject | RecordItem;
}

/** What one transaction stages. */
export interface Page {
  readonly rows: Readonly<Record<'items' | 'links' | 'mappings' | 'objects', RowBuffer>>;
  /** Links of an object that had too many to wait for it. */
  readonly ahead: RowBuffer;
  /** Source ids of the objects that its rows create, with the ids that they are created with. */
  created: Map<string, string>;
  /** Those of them that need no row of their own. */
  listed: ListedObject[];
  items: PendingItem[];
  /** Of which those that have changed are added to the items when the page is sent. */
  asked: AskedObject[];
  /** Hashes of what is asked about. */
  hashes: Buffer;
}

export function emptyPage(): Page {
  return {
    rows: { items: rowBuffer(), links: rowBuffer(), mappings: rowBuffer(), objects: rowBuffer() },
    ahead: rowBuffer(),
    created: new Map(),
    listed: [],
    items: [],
    asked: [],
    hashes: Buffer.alloc(1_000 * hashesBytes),
  };
}

/** An item of a page. */
export interface PendingItem {
  /** Adds its rows to a page; `alone` after PostgreSQL has refused the page that it was in: then nothing is created. Returns how many links they have. */
  readonly add: (page: Page, alone: boolean) => number;
  /** What is staged in its place if PostgreSQL refuses it too: its id and the reason. */
  readonly bare: (reason: string) => string;
}
