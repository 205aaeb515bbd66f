import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guidBytes, guidText, sidText, sidWithRelativeId } from '../../../connectors/active-directory/binary-text.ts';
import { isGuidText } from '../../../connectors/directory/guid-text.ts';

test('the first three fields of a GUID are little-endian', () => {
  expect(guidText(Buffer.from('a05e2de7a73f4e4fa0f8fa6bfe1e6c8d', 'hex'))).toBe('e72d5ea0-3fa7-4f4e-a0f8-fa6bfe1e6c8d');
});

test('a GUID survives the way to text and back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const text = guidText(Buffer.from(bytes));
      expect(isGuidText(text)).toBe(true);
      expect(guidBytes(text).equals(Buffer.from(bytes))).toBe(true);
      expect(guidBytes(text.toUpperCase()).equals(Buffer.from(bytes))).toBe(true);
    }),
  );
});

test('what is no GUID is refused', () => {
  expect(() => guidText(Buffer.alloc(15))).toThrow(RangeError);
  expect(() => guidBytes('e72d5ea0-3fa7-4f4e-a0f8')).toThrow(RangeError);
});

test('a SID is written with its authority and sub-authorities', () => {
  const administrators = Buffer.from('01020000000000052000000020020000', 'hex');
  expect(sidText(administrators)).toBe('S-1-5-32-544');
  expect(sidText(sidWithRelativeId(administrators, 545))).toBe('S-1-5-32-545');
  expect(sidText(administrators)).toBe('S-1-5-32-544');
});

test('sub-authorities are unsigned', () => {
  const sid = Buffer.concat([Buffer.from([1, 1, 0, 0, 0, 0, 0, 5]), Buffer.from([0xff, 0xff, 0xff, 0xff])]);
  expect(sidText(sid)).toBe('S-1-5-4294967295');
});

test('a cut SID is refused', () => {
  expect(() => sidText(Buffer.from('0102000000000005200000', 'hex'))).toThrow(RangeError);
});
