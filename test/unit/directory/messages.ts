import { Attribute, BerWriter } from 'ldapts';
import { BerCursor } from '../../../connectors/directory/ber.ts';
import { type Entry, readEntry, typeReader } from '../../../connectors/directory/entry.ts';

/** An attribute as servers send it. */
export interface SentAttribute {
  readonly type: string;
  readonly values: readonly string[] | readonly Buffer[];
}

/** A SearchResultEntry (RFC 4511 4.5.2), written by the LDAP library. */
function writeEntry(writer: BerWriter, name: string, attributes: readonly SentAttribute[]): void {
  writer.startSequence(0x64);
  writer.writeString(name);
  writer.startSequence();
  for (const { type, values } of attributes) new Attribute({ type, values: [...values] as string[] }).write(writer);
  writer.endSequence();
  writer.endSequence();
}

/** A whole message with an entry. */
export function messageBytes(messageId: number, name: string, attributes: readonly SentAttribute[]): Buffer {
  const writer = new BerWriter();
  writer.startSequence();
  writer.writeInt(messageId);
  writeEntry(writer, name, attributes);
  writer.endSequence();
  return writer.buffer;
}

/** An entry as it is read off the wire. */
export function entryOf(name: string, attributes: readonly SentAttribute[]): Entry {
  const writer = new BerWriter();
  writeEntry(writer, name, attributes);
  const bytes = writer.buffer;
  return readEntry(new BerCursor(bytes, 0), bytes.length, typeReader());
}
