import { isGuidText } from '../directory/guid-text.ts';

/** The usual text form of a GUID (lower case, dashes) from its 16 bytes: the first three fields are little-endian ([MS-DTYP] 2.3.4.2). */
export function guidText(bytes: Buffer): string {
  if (bytes.length !== 16) throw new RangeError(`A GUID has 16 bytes, not ${bytes.length}`);
  const hex = (start: number, end: number): string => bytes.toString('hex', start, end);
  const swapped = (start: number, end: number): string => Buffer.from(bytes.subarray(start, end)).reverse().toString('hex');
  return `${swapped(0, 4)}-${swapped(4, 6)}-${swapped(6, 8)}-${hex(8, 10)}-${hex(10, 16)}`;
}

/** The inverse of {@link guidText}. Throws a `RangeError` for anything but a GUID. */
export function guidBytes(text: string): Buffer {
  if (!isGuidText(text)) throw new RangeError('Not the text form of a GUID');
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

/** The text form `S-1-5-21-...` of a security identifier ([MS-DTYP] 2.4.2.1, 2.4.2.2). */
export function sidText(bytes: Buffer): string {
  const count = bytes[1];
  if (bytes.length < 8 || count === undefined || bytes.length !== 8 + 4 * count) throw new RangeError('Not a security identifier');
  const subAuthorities = Array.from({ length: count }, (_, index) => bytes.readUInt32LE(8 + 4 * index));
  return ['S', bytes[0], bytes.readUIntBE(2, 6), ...subAuthorities].join('-');
}

/** The SID of another account of the same domain: the last sub-authority is the relative identifier ([MS-DTYP] 2.4.2.2). */
export function sidWithRelativeId(sid: Buffer, relativeId: number): Buffer {
  const sibling = Buffer.from(sid);
  sibling.writeUInt32LE(relativeId, sibling.length - 4);
  return sibling;
}
