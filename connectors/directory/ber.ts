/** Tags of BER elements that messages are made of (RFC 4511 4.1.1, 4.1.3 to 4.1.7, 4.5.2). */
export const tags = { integer: 0x02, octetString: 0x04, sequence: 0x30, set: 0x31, searchResultEntry: 0x64 } as const;

/** The most octets that a length may have: four gigabytes. */
const lengthOctets = 4;

/** The length of the element at `offset`, header included; `undefined` if not even its header is there. Fails if it is no element of LDAP. */
export function elementLength(bytes: Buffer, offset: number): number | undefined {
  const first = bytes[offset + 1];
  if (first === undefined) return undefined;
  if (first < 0x80) return 2 + first;
  const octets = octetsOf(first);
  return offset + 2 + octets > bytes.length ? undefined : 2 + octets + bytes.readUIntBE(offset + 2, octets);
}

/** Walks over elements of BER, with definite lengths, as LDAP has them (RFC 4511 5.1). */
export class BerCursor {
  readonly bytes: Buffer;
  offset: number;

  constructor(bytes: Buffer, offset: number) {
    this.bytes = bytes;
    this.offset = offset;
  }

  /** Steps to the content of the element that is next; returns where it ends. Fails unless it has this tag and ends at `limit` or before. */
  enter(tag: number, limit: number): number {
    const { bytes, offset } = this;
    const first = bytes[offset + 1] as number;
    if (offset + 2 > limit || bytes[offset] !== tag) throw malformed();
    let start = offset + 2;
    let length = first;
    if (first >= 0x80) {
      const octets = octetsOf(first);
      if (start + octets > limit) throw malformed();
      length = bytes.readUIntBE(start, octets);
      start += octets;
    }
    if (start + length > limit) throw malformed();
    this.offset = start;
    return start + length;
  }
}

/** How many octets the length itself has, from the first one of its long form (X.690 8.1.3.5). */
function octetsOf(first: number): number {
  const octets = first & 0x7f;
  if (octets === 0 || octets > lengthOctets) throw malformed();
  return octets;
}

function malformed(): Error {
  return new Error('The answer is no message of LDAP');
}
