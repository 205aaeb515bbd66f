import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BerCursor, elementLength } from '../../../connectors/directory/ber.ts';
import { type Entry, readEntry, typeReader, values } from '../../../connectors/directory/entry.ts';
import { messageReader } from '../../../connectors/directory/message-reader.ts';
import { entryOf, messageBytes, type SentAttribute } from './messages.ts';

function piecesOf(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((one, other) => one - other);
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length));
}

function contentOf({ name, attributes }: Entry): unknown {
  return { name, attributes: attributes.map((attribute) => ({ type: attribute.type, values: attribute.texts() })) };
}

describe('messages are put together', () => {
  test('wherever the connection cuts them', () => {
    const attribute = fc.record({
      type: fc.constantFrom('cn', 'sn', 'member', 'description;lang-de', 'telephoneNumber'),
      values: fc.array(fc.string({ unit: 'grapheme', maxLength: 300 }), { maxLength: 4 }),
    });
    const entry = fc.record({ name: fc.string({ unit: 'grapheme' }), attributes: fc.array(attribute, { maxLength: 5 }) });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), fc.array(fc.nat(), { maxLength: 20 }), (entries, cuts) => {
        const found: unknown[] = [];
        const typeOf = typeReader();
        const read = messageReader((bytes, start, end) => {
          const cursor = new BerCursor(bytes, start);
          cursor.enter(0x30, end);
          cursor.offset = cursor.enter(0x02, end);
          found.push(contentOf(readEntry(cursor, end, typeOf)));
        });
        for (const piece of piecesOf(
          Buffer.concat(entries.map(({ name, attributes }, index) => messageBytes(index, name, attributes))),
          cuts,
        ))
          read(piece);
        expect(found).toEqual(entries);
      }),
    );
  });

  test('what does not begin like a message is refused', () => {
    const read = messageReader(() => undefined);
    // The indefinite form (X.690 8.1.3.6), which LDAP does not have.
    expect(() => read(Buffer.from([0x30, 0x80, 0, 0]))).toThrow('no message of LDAP');
    expect(() => elementLength(Buffer.from([0x30, 0x85, 1, 1, 1, 1, 1]), 0)).toThrow('no message of LDAP');
  });
});

describe('an entry', () => {
  test('has the values that were sent, as texts and as bytes', () => {
    const sid = Buffer.from([1, 0, 0, 0xff, 0xfe]);
    const sent: readonly SentAttribute[] = [
      { type: 'cn', values: ['Žofie', ''] },
      { type: 'objectSid', values: [sid] },
      { type: 'member', values: [] },
    ];
    const entry = entryOf('CN=Žofie,DC=corp', sent);
    expect(entry.name).toBe('CN=Žofie,DC=corp');
    expect(entry.attributes.map(({ type, count }) => ({ type, count }))).toEqual([
      { type: 'cn', count: 2 },
      { type: 'objectSid', count: 1 },
      { type: 'member', count: 0 },
    ]);
    expect(entry.attributes.map((attribute) => attribute.text())).toEqual(['Žofie', sid.toString('utf8'), '']);
    expect(entry.attributes[1]?.buffers()).toEqual([sid]);
    expect(values(entry, 'CN')).toEqual(['Žofie', '']);
    expect(values(entry, 'mail')).toEqual([]);
  });

  test('of another form is refused', () => {
    const whole = messageBytes(1, 'CN=x', [{ type: 'cn', values: ['x'] }]).subarray(5);
    const read = (bytes: Buffer) => readEntry(new BerCursor(bytes, 0), bytes.length, typeReader());
    expect(contentOf(read(whole))).toEqual({ name: 'CN=x', attributes: [{ type: 'cn', values: ['x'] }] });
    const texts = ['CN=x', 'cn', 'x'].map((text) => ({ start: whole.lastIndexOf(text), length: text.length }));
    for (let place = 0; place < whole.length; place++) {
      if (texts.some(({ start, length }) => place >= start && place < start + length)) continue;
      const broken = Buffer.from(whole);
      broken[place] = 0x7f;
      expect(() => read(broken), `byte ${place}`).toThrow('no message of LDAP');
    }
    for (let length = 0; length < whole.length; length++) expect(() => read(whole.subarray(0, length))).toThrow('no message of LDAP');
  });
});
