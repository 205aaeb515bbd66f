/** What one attribute of a source object can be: JSON, with lists only of texts. Binary values are base64 unless the connector knows a usual text form (objectGUID). */
export type SourceValue = string | number | boolean | null | readonly string[];

/** A source object's attributes under their source names, whole: an attribute that is absent has no value. */
export type SourceAttributes = Readonly<Record<string, SourceValue>>;

/** Link kind to the source ids of the targets. A kind that is absent is unknown, `[]` means that there are none. */
export type ItemLinks = Readonly<Record<string, readonly string[]>>;

/** An object with its content. */
export interface ObjectItem {
  readonly kind: 'object';
  /** The source's immutable id: objectGUID, entryUUID, Okta id; never a DN or a name. Empty: the source gave none, which breaks the seal. */
  readonly id: string;
  /** A look-up key that may change and need not be unique: the DN of a directory entry. */
  readonly key?: string;
  readonly attributes: SourceAttributes;
  readonly links?: ItemLinks;
}

/**
 * An object as its source wrote it, of which nothing has been made yet. Whoever has compared its record with that of the last read mostly needs
 * no more of it.
 */
export interface RecordItem {
  readonly kind: 'record';
  readonly id: string;
  /**
   * All that `object()` is made of, unambiguously: under one configuration of the stream, equal records of one id are equal objects, links
   * included. Unequal ones may be equal objects too.
   */
  readonly record: string;
  /** Whether the object has `links`, be they empty. */
  readonly linked: boolean;
  /** The object, with this id. Fails as reading it would have. No slices of links follow it. */
  object(): ObjectItem;
}

/** What a source gave: an object, a part of a long list of links, or the news that something is gone or changed. */
export type Item =
  | ObjectItem
  | RecordItem
  /** One slice of a list of links too long for one item; the slices of a list follow each other, the final one says `last`. */
  | { readonly kind: 'links'; readonly id: string; readonly link: string; readonly targets: readonly string[]; readonly last: boolean }
  /** Proven gone (tombstone, event). Followed by an `object` of the same id in the same read: it was gone and has returned. */
  | { readonly kind: 'gone'; readonly id: string; readonly reason: string }
  /** Changed since the marker, but the filtered read did not return them. Those that are known are read again by id before anything is believed. */
  | { readonly kind: 'unmatched'; readonly ids: readonly string[] };

/** What a read of one object by its id found. `unknown`: the source gave no answer that could be believed. */
export type Found =
  | {
      readonly kind: 'found';
      readonly item: ObjectItem | RecordItem;
      readonly more?: readonly Extract<Item, { kind: 'links' }>[];
    }
  | { readonly kind: 'out-of-scope' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** An object with its content, whichever way it was given. */
export function objectOf(item: ObjectItem | RecordItem): ObjectItem {
  return item.kind === 'record' ? item.object() : item;
}
