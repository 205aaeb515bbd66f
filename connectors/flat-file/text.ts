import { fileFailure } from './failures.ts';

/** What a text was like at its end. */
export interface TextEnd {
  /** Whether the last character is a line feed; so too of a text without characters. */
  readonly endsWithNewline: boolean;
}

/** Whether a name is one of an encoding that can be read (WHATWG Encoding: utf-8, utf-16le, windows-1252, iso-8859-15, shift_jis ...). */
export function isEncoding(label: string): boolean {
  try {
    new TextDecoder(label);
    return true;
  } catch {
    return false;
  }
}

/** Decodes; a byte order mark at the begin is left out. Bytes that are no text of this encoding are refused with their line, never replaced. */
export async function* decoded<Facts>(
  content: AsyncGenerator<Buffer, Facts>,
  { name, encoding }: { readonly name: string; readonly encoding: string },
): AsyncGenerator<string, Facts & TextEnd> {
  const decodePiece = decoderOf(encoding);
  let last = '\n';
  let lines = 0;
  const decode = (chunk?: Buffer): string => {
    try {
      const text = decodePiece(chunk);
      if (text !== '') last = text.charAt(text.length - 1);
      return text;
    } catch (error) {
      throw fileFailure(
        { file: name, line: 1 + lines + (chunk === undefined ? 0 : goodLines(chunk, encoding)) },
        `it is not ${encoding}, or ends within a character`,
        'Nothing of it was applied. Set encoding of the stream to what the file is written in, or have it written as utf-8.',
        error,
      );
    }
  };
  for (;;) {
    const step = await content.next();
    if (step.done === true) {
      const rest = decode();
      if (rest !== '') yield rest;
      return { ...step.value, endsWithNewline: last === '\n' };
    }
    const text = decode(step.value);
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
    yield text;
  }
}

/** Decodes one piece after the other; without a piece what is left. Throws at bytes that are no text of the encoding. */
function decoderOf(encoding: string): (chunk?: Buffer) => string {
  const decoder = new TextDecoder(encoding, { fatal: true });
  if (decoder.encoding !== 'utf-8') return (chunk) => (chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true }));
  // Node.js decodes a whole text several times as fast as the pieces of one, and to half the memory if it is ASCII.
  const later = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  let used = decoder;
  let cut: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = chunk === undefined ? cut : cut.length === 0 ? chunk : Buffer.concat([cut, chunk]);
    const end = chunk === undefined ? bytes.length : endOfCharacters(bytes);
    cut = bytes.subarray(end);
    if (end === 0) return '';
    const text = used.decode(bytes.subarray(0, end));
    used = later;
    return text;
  };
}

/** Where the last character of a piece of UTF-8 ends that is whole. */
function endOfCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const size = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return size > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** How many lines of a piece come before the first that can't be decoded by itself. The first one may have begun in the piece before. */
function goodLines(chunk: Buffer, encoding: string): number {
  let lines = 0;
  for (let from = 0; ; lines += 1) {
    const end = chunk.indexOf(0x0a, from);
    const line = chunk.subarray(from, end < 0 ? chunk.length : end);
    try {
      new TextDecoder(encoding, { fatal: true }).decode(line);
    } catch {
      if (lines > 0 || end < 0) return lines;
      // A character that began in the piece before is no fault of this one.
      const start = line.findIndex((byte) => (byte & 0xc0) !== 0x80);
      try {
        new TextDecoder(encoding, { fatal: true }).decode(line.subarray(Math.max(start, 0)));
      } catch {
        return 0;
      }
    }
    if (end < 0) return lines;
    from = end + 1;
  }
}
