import { elementLength } from './ber.ts';

/** Takes a whole message: it stands in `bytes` from `start` to `end`, which stay as they are. */
export type OnMessage = (bytes: Buffer, start: number, end: number) => void;

/**
 * Puts the pieces that a connection delivers together to messages. Only a message that came in pieces is copied, once, whatever its length: a
 * group of a hundred thousand members is one message, in a thousand pieces. Fails with what `onMessage` fails with, or if what comes is no message.
 */
export function messageReader(onMessage: OnMessage): (data: Buffer) => void {
  let pieces: Buffer[] = [];
  let held = 0;
  /** Length of the message that is incomplete; `undefined` while not even that is known. */
  let length: number | undefined;

  return (data) => {
    let bytes = data;
    let offset = 0;
    if (held > 0) {
      if (length === undefined) {
        bytes = Buffer.concat([...pieces, data]);
      } else {
        pieces.push(data.subarray(0, length - held));
        if (data.length < length - held) {
          held += data.length;
          return;
        }
        offset = length - held;
        onMessage(Buffer.concat(pieces, length), 0, length);
      }
      pieces = [];
      held = 0;
    }
    while (offset < bytes.length) {
      length = elementLength(bytes, offset);
      if (length === undefined || offset + length > bytes.length) {
        pieces = [bytes.subarray(offset)];
        held = bytes.length - offset;
        return;
      }
      onMessage(bytes, offset, offset + length);
      offset += length;
    }
  };
}
