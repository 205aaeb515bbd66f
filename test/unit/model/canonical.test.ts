import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, createLinksHash, inStoredOrder, sourceHash } from '../../../model/canonical.ts';
import type { SourceAttributes, SourceValue } from '../../../model/item.ts';

const value: fc.Arbitrary<SourceValue> = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.boolean(),
  fc.array(fc.string(), { minLength: 1, maxLength: 4 }),
);
const attributes = fc.dictionary(fc.string({ minLength: 1 }), value, { maxKeys: 8 });
const link = fc.tuple(fc.constantFrom('member', 'manager', 'owner'), fc.string());
const none: ReadonlySet<string> = new Set();

function hex(object: { id: string; key?: string; attributes: SourceAttributes }, volatile = none): string {
  return sourceHash(object, volatile);
}

function linksHex(links: readonly (readonly [string, string])[], declared: readonly string[] = []): string {
  const hash = createLinksHash();
  for (const kind of declared) {
    hash.declare(kind);
  }
  for (const [kind, target] of links) {
    hash.add(kind, target);
  }
  return hash.digest();
}

function shuffled<T>(list: readonly T[], order: readonly number[]): readonly T[] {
  return list
    .map((element, index) => ({ element, rank: order[index] ?? 0 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ element }) => element);
}

const order = fc.array(fc.nat(), { minLength: 12, maxLength: 12 });

describe('canonical JSON', () => {
  it('does not depend on the order of keys, at any depth', () => {
    expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: null })).toBe('{"a":null,"b":[{"c":2,"d":1}]}');
    expect(canonicalJson({ a: null, b: [{ c: 2, d: 1 }] })).toBe(canonicalJson({ b: [{ d: 1, c: 2 }], a: null }));
  });
});

describe("an object's source hash", () => {
  it('has 32 bytes', () => {
    expect(sourceHash({ id: 'a', attributes: {} }, none)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not depend on the order of attributes or of their values', () => {
    fc.assert(
      fc.property(attributes, order, (given, ranks) => {
        const other = Object.fromEntries(
          shuffled(Object.entries(given), ranks).map(([name, v]) => [name, Array.isArray(v) ? shuffled(v, ranks) : v]),
        ) as SourceAttributes;
        expect(hex({ id: 'a', attributes: other })).toBe(hex({ id: 'a', attributes: given }));
      }),
    );
  });

  it('changes with any attribute, also one that comes or goes', () => {
    fc.assert(
      fc.property(attributes, fc.string({ minLength: 1 }), value, value, (given, name, before, after) => {
        fc.pre(JSON.stringify(sortedValue(before)) !== JSON.stringify(sortedValue(after)));
        const old = hex({ id: 'a', attributes: { ...given, [name]: before } });
        expect(hex({ id: 'a', attributes: { ...given, [name]: after } })).not.toBe(old);
        expect(hex({ id: 'a', attributes: Object.fromEntries(Object.entries(given).filter(([other]) => other !== name)) })).not.toBe(old);
      }),
    );
  });

  it('tells a list of one from its only value, a text from a number, and what stands in which attribute', () => {
    const hashes = [
      { a: '1' },
      { a: ['1'] },
      { a: 1 },
      { a: true },
      { a: 'true' },
      { b: '1' },
      { a: ['1', '1'] },
      { a: '\ud800' },
      { a: '\ufffd' },
    ];
    expect(new Set(hashes.map((given) => hex({ id: 'x', attributes: given }))).size).toBe(hashes.length);
  });

  it('changes with id and key', () => {
    const hashes = [{ id: 'a' }, { id: 'b' }, { id: 'a', key: 'a' }, { id: 'a', key: '' }].map((object) =>
      hex({ ...object, attributes: {} }),
    );
    expect(new Set(hashes).size).toBe(4);
  });

  it('leaves out volatile attributes and takes null for absent', () => {
    const plain = hex({ id: 'a', attributes: { cn: 'x' } });
    expect(hex({ id: 'a', attributes: { uSNChanged: '7', cn: 'x', mail: null } }, new Set(['uSNChanged']))).toBe(plain);
    expect(hex({ id: 'a', attributes: { uSNChanged: '7', cn: 'x' } })).not.toBe(plain);
  });
});

function sortedValue(given: SourceValue): unknown {
  return Array.isArray(given) ? given.toSorted() : given;
}

describe('the hash of links', () => {
  it('does not depend on the order, nor on when a kind is declared', () => {
    fc.assert(
      fc.property(fc.array(link, { maxLength: 12 }), order, (links, ranks) => {
        expect(linksHex(shuffled(links, ranks))).toBe(linksHex(links));
        expect(
          linksHex(
            links,
            links.map(([kind]) => kind),
          ),
        ).toBe(linksHex(links));
      }),
    );
  });

  it('changes with any link that is added, and counts repetitions', () => {
    fc.assert(
      fc.property(fc.array(link, { maxLength: 12 }), link, (links, added) => {
        expect(linksHex([...links, added])).not.toBe(linksHex(links));
        expect(linksHex([...links, added, added])).not.toBe(linksHex([...links, added]));
      }),
    );
  });

  it('changes when a target is replaced or moves to another kind', () => {
    fc.assert(
      fc.property(fc.array(link, { maxLength: 12 }), link, link, (links, one, other) => {
        fc.pre(one[0] !== other[0] || one[1] !== other[1]);
        expect(linksHex([...links, one])).not.toBe(linksHex([...links, other]));
      }),
    );
  });

  it('tells an empty list from an unknown one', () => {
    expect(new Set([linksHex([]), linksHex([], ['member']), linksHex([], ['owner']), linksHex([], ['owner', 'member'])]).size).toBe(4);
    expect(linksHex([], ['member', 'owner', 'member'])).toBe(linksHex([], ['owner', 'member']));
  });

  it('is the sum modulo 2^128 of the truncated SHA-256 of kinds and links', () => {
    fc.assert(
      fc.property(fc.array(link, { maxLength: 12 }), (links) => {
        const texts = [...new Set(links.map(([kind]) => kind)), ...links.map(([kind, target]) => `${kind}\0${target}`)];
        const total = texts.reduce((sum, text) => sum + littleEndian(createHash('sha256').update(text).digest().subarray(0, 16)), 0n);
        expect(littleEndian(Buffer.from(linksHex(links), 'hex'))).toBe(total % 2n ** 128n);
      }),
    );
  });

  it('can be read in between', () => {
    const hash = createLinksHash();
    hash.add('member', 'a');
    expect(hash.digest()).toBe(linksHex([['member', 'a']]));
    hash.add('member', 'b');
    expect(hash.digest()).toBe(
      linksHex([
        ['member', 'b'],
        ['member', 'a'],
      ]),
    );
  });
});

function littleEndian(bytes: Buffer): bigint {
  return bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

it('names stand in the order of the keys of jsonb', () => {
  // As `select jsonb_object_keys('{"mail":1,"uid":1,"cn":1,"Zip":1,"sn":1}')` gives them.
  expect(inStoredOrder(['mail', 'uid', 'cn', 'Zip', 'sn'])).toEqual(['cn', 'sn', 'Zip', 'uid', 'mail']);
});
