import type { LinksHash } from '../model/canonical.ts';
import type { ObjectItem, RecordItem } from '../model/item.ts';
import { type RowBuffer, rowBuffer } from './copy.ts';
import { emptyLinkList, type LinkList } from './sql/create-objects.ts';
import { hashesBytes, type ReadObject } from './sql/stage-present.ts';

/** Links of one kind, as the source gave them. */
export interface ListedLinks {
  readonly kind: string;
  readonly targets: readonly string[];
}

/** An object in hand, whose links may still be coming. */
export interface OpenObject extends ReadObject {
  /** Why it can't be stored at all. */
  readonly problem: string | undefined;
  readonly item: ObjectItem;
  /** Of its source, hexadecimal; empty until it has come whole. */
  hash: string;
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
  readonly hash: string;
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

/** News of an object without its content. */
export interface StagedNews {
  /** Its row. */
  readonly row: string;
  /** What is staged in its place if PostgreSQL refuses it: its id and the reason. */
  readonly bare: (reason: string) => string;
}

/** What a page stages rows of: an object with its content, or news. */
export type PendingItem = OpenObject | HashedRecord | StagedNews;

/** What one transaction stages. */
export interface Page {
  readonly rows: Readonly<Record<'items' | 'links' | 'mappings' | 'objects', RowBuffer>>;
  /** Links of an object that had too many to wait for it. */
  readonly ahead: RowBuffer;
  /** Source ids of the objects that its rows create, with the ids that they are created with. */
  created: Map<string, string>;
  /** Those of them that need no row of their own. */
  listed: LinkList;
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
    listed: emptyLinkList(),
    items: [],
    asked: [],
    hashes: Buffer.alloc(1_000 * hashesBytes),
  };
}
