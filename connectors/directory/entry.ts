import { BerCursor, tags } from './ber.ts';

/** One entry of the answer to a search (RFC 4511 4.5.2). */
export interface Entry {
  /** Its DN. */
  readonly name: string;
  readonly attributes: readonly EntryAttribute[];
}

/** An attribute of an entry. Its values stay the bytes that came until somebody asks for them. */
export class EntryAttribute {
  /** Its description as the server spells it, options such as `;range=` included. */
  readonly type: string;
  /** How many values it has. */
  readonly count: number;
  private readonly bytes: Buffer;
  private readonly start: number;
  private readonly end: number;

  /** @param start where its values begin in `bytes`: elements that are known to be well-formed. @param end where they end */
  constructor(type: string, count: number, bytes: Buffer, start: number, end: number) {
    this.type = type;
    this.count = count;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  /** The first value as a text; none: an empty one. */
  text(): string {
    if (this.count === 0) return '';
    const cursor = new BerCursor(this.bytes, this.start);
    const end = cursor.enter(tags.octetString, this.end);
    return this.bytes.toString('utf8', cursor.offset, end);
  }

  texts(): string[] {
    return this.each((start, end) => this.bytes.toString('utf8', start, end));
  }

  buffers(): Buffer[] {
    return this.each((start, end) => this.bytes.subarray(start, end));
  }

  private each<Value>(make: (start: number, end: number) => Value): Value[] {
    const made: Value[] = [];
    const cursor = new BerCursor(this.bytes, this.start);
    while (cursor.offset < this.end) {
      const end = cursor.enter(tags.octetString, this.end);
      made.push(make(cursor.offset, end));
      cursor.offset = end;
    }
    return made;
  }
}

/** Reads the descriptions of attributes; one for each connection. */
export type TypeReader = (bytes: Buffer, start: number, end: number) => string;

/** More descriptions than this are not kept: those of ranges are ever new. */
const typesKept = 100;

/** Servers name the attributes of entries alike, and mostly in one order: then a name is only compared with the one that followed last time. */
export function typeReader(): TypeReader {
  const known: string[] = [];
  let next = 0;
  return (bytes, start, end) => {
    for (let tried = 0; tried < known.length; tried++) {
      const type = known[next] as string;
      next = next + 1 === known.length ? 0 : next + 1;
      if (type.length === end - start && isAt(bytes, start, type)) return type;
    }
    const type = bytes.toString('utf8', start, end);
    if (known.length < typesKept) known.push(type);
    return type;
  };
}

function isAt(bytes: Buffer, start: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** Reads a SearchResultEntry that `cursor` is at. Everything about its form is verified here; fails if it is none. */
export function readEntry(cursor: BerCursor, limit: number, typeOf: TypeReader): Entry {
  const { bytes } = cursor;
  const end = cursor.enter(tags.searchResultEntry, limit);
  const nameEnd = cursor.enter(tags.octetString, end);
  const name = bytes.toString('utf8', cursor.offset, nameEnd);
  cursor.offset = nameEnd;
  const listEnd = cursor.enter(tags.sequence, end);
  const attributes: EntryAttribute[] = [];
  while (cursor.offset < listEnd) {
    const attributeEnd = cursor.enter(tags.sequence, listEnd);
    const typeEnd = cursor.enter(tags.octetString, attributeEnd);
    const type = typeOf(bytes, cursor.offset, typeEnd);
    cursor.offset = typeEnd;
    const valuesEnd = cursor.enter(tags.set, attributeEnd);
    const start = cursor.offset;
    let count = 0;
    for (; cursor.offset < valuesEnd; count++) cursor.offset = cursor.enter(tags.octetString, valuesEnd);
    attributes.push(new EntryAttribute(type, count, bytes, start, valuesEnd));
    cursor.offset = attributeEnd;
  }
  return { name, attributes };
}

/** The attribute of an entry, whatever spelling the server gave its name. Options such as `;range=` are not looked through. */
function attributeOf(entry: Entry, attribute: string): EntryAttribute | undefined {
  const wanted = attribute.toLowerCase();
  return entry.attributes.find(({ type }) => type.length === wanted.length && type.toLowerCase() === wanted);
}

/** The raw values of an attribute; none: []. */
export function buffers(entry: Entry, attribute: string): readonly Buffer[] {
  return attributeOf(entry, attribute)?.buffers() ?? [];
}

/** The values of a text attribute; none: []. */
export function values(entry: Entry, attribute: string): readonly string[] {
  return attributeOf(entry, attribute)?.texts() ?? [];
}
