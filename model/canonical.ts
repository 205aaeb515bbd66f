import { hash } from 'node:crypto';
import type { SourceAttributes } from './item.ts';

/** JSON with the keys of every object in code unit order and without white space: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, nested: unknown) =>
    typeof nested === 'object' && nested !== null && !Array.isArray(nested)
      ? Object.fromEntries(Object.entries(nested).sort(([a], [b]) => (a < b ? -1 : 1)))
      : nested,
  );
}

/**
 * Names in the order that PostgreSQL keeps the keys of jsonb in: shorter ones first, then by their characters. JSON that is written in this order
 * need not be sorted again for each row.
 */
export function inStoredOrder(names: Iterable<string>): readonly string[] {
  return [...names].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
}

/** A digest whose bytes are counted with: as text it costs half of what it costs as a Buffer; each character is one byte of it. */
const oneByteText = 'binary';

/** An object as its source gave it, links aside. */
export interface SourceObject {
  readonly id: string;
  readonly key?: string;
  readonly attributes: SourceAttributes;
}

/**
 * SHA-256 (hexadecimal) over an object's content: id, key and attributes. Neither the order of attributes nor that of the values of one counts,
 * null is the same as absent, and attributes named in `volatile` are left out.
 */
export function sourceHash({ id, key, attributes }: SourceObject, volatile: ReadonlySet<string>): string {
  const content: unknown[] = [id, key ?? null];
  for (const name of sortedNames(attributes)) {
    const value = attributes[name];
    if (value !== null && value !== undefined && !volatile.has(name)) {
      content.push(name, typeof value === 'object' && value.length > 1 ? value.toSorted() : value);
    }
  }
  return hash('sha256', JSON.stringify(content));
}

/** SHA-256 (hexadecimal) over the record that an object is made of, and over what it is made by: a connector's way of reading, see `readingOf`. */
export function recordHash(reading: string, record: string): string {
  return hash('sha256', `${reading}\n${record}`);
}

const empty: readonly string[] = [];
let lastNames = empty;
let lastSorted = empty;

/** Objects of one stream mostly have the same attributes in the same order, so the order found last is worth keeping. */
function sortedNames(attributes: SourceAttributes): readonly string[] {
  const names = Object.keys(attributes);
  if (names.length !== lastNames.length || names.some((name, index) => name !== lastNames[index])) {
    lastNames = names;
    lastSorted = names.toSorted();
  }
  return lastSorted;
}

/**
 * Hash of an object's links that takes them one by one, in any order and without keeping them, so that lists of any length fit: a sum
 * modulo 2^128 of the truncated SHA-256 of each link. It counts repetitions: a link that is added twice gives another hash. It tells
 * changes apart; it is no defence against someone who can choose target ids freely.
 */
export interface LinksHash {
  add(kind: string, target: string): void;
  /** The kind was given, even if no link of it follows: an empty list differs from an unknown one. Repetitions are harmless. */
  declare(kind: string): void;
  /** 16 bytes, hexadecimal. More may be added afterwards. */
  digest(): string;
}

export function createLinksHash(): LinksHash {
  const sum = new Uint32Array(4);
  const kinds = new Set<string>();
  let lastKind: string | undefined;

  const addDigest = (digest: string): void => {
    let carry = 0;
    for (let word = 0; word < 4; word++) {
      const total = (sum[word] ?? 0) + wordOf(digest, word * 4) + carry;
      sum[word] = total;
      carry = total > 0xffff_ffff ? 1 : 0;
    }
  };
  const declare = (kind: string): void => {
    if (kind !== lastKind) {
      lastKind = kind;
      if (!kinds.has(kind)) {
        kinds.add(kind);
        addDigest(kindDigest(kind));
      }
    }
  };

  return {
    declare,
    add(kind, target) {
      declare(kind);
      addDigest(hash('sha256', `${kind}\0${target}`, oneByteText));
    },
    digest() {
      const digest = Buffer.allocUnsafe(16);
      for (let word = 0; word < 4; word++) {
        digest.writeUInt32LE(sum[word] ?? 0, word * 4);
      }
      return digest.toString('hex');
    },
  };
}

const kindDigests = new Map<string, string>();

/** Connectors have a handful of link kinds, which every object declares again. */
function kindDigest(kind: string): string {
  const known = kindDigests.get(kind);
  if (known !== undefined) {
    return known;
  }
  const digest = hash('sha256', kind, oneByteText);
  kindDigests.set(kind, digest);
  return digest;
}

/** Four bytes as an unsigned number, the lowest first. */
function wordOf(digest: string, offset: number): number {
  return (
    (digest.charCodeAt(offset) |
      (digest.charCodeAt(offset + 1) << 8) |
      (digest.charCodeAt(offset + 2) << 16) |
      (digest.charCodeAt(offset + 3) << 24)) >>>
    0
  );
}
