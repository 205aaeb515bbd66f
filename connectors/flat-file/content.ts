import { createHash } from 'node:crypto';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isTidemarkFailure } from '../../model/failure.ts';
import { fileFailure } from './failures.ts';
import { chunkBytes, type OpenFile } from './place.ts';

/** What a file's bytes are, beside what they say. Identity is by content: times of writing say nothing about it. */
export interface ContentFacts {
  /** Bytes of the file as it lies there. */
  readonly size: number;
  /** Of the file as it lies there, in hex. */
  readonly sha256: string;
  /** Line feeds of the unpacked file. */
  readonly lines: number;
}

const lineFeed = 0x0a;

/** Reads a file once from its begin to its end, unpacked, and tells what it was. Memory does not depend on its size. */
export async function* contentOf(file: OpenFile, name: string): AsyncGenerator<Buffer, ContentFacts> {
  const digest = createHash('sha256');
  let size = 0;
  let lines = 0;
  async function* asItLies(): AsyncGenerator<Buffer, void> {
    for await (const chunk of file.bytes()) {
      digest.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  }
  for await (const chunk of isPacked(name) ? unpacked(asItLies(), name) : asItLies()) {
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, at + 1)) lines += 1;
    yield chunk;
  }
  return { size, sha256: digest.digest('hex'), lines };
}

/** The facts alone, without making anything of the content. */
export async function factsOf(file: OpenFile, name: string): Promise<ContentFacts> {
  const content = contentOf(file, name);
  for (;;) {
    const step = await content.next();
    if (step.done === true) return step.value;
  }
}

/** Whether a file is packed with gzip, by its name. */
export function isPacked(name: string): boolean {
  return name.toLowerCase().endsWith('.gz');
}

async function* unpacked(packed: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer, void> {
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  // What goes wrong with the source ends the unpacking with the same error.
  pipeline(Readable.from(packed), gunzip, () => undefined);
  try {
    for await (const chunk of gunzip) yield chunk as Buffer;
  } catch (error) {
    if (isTidemarkFailure(error)) throw error;
    const truncated = (error as NodeJS.ErrnoException).code === 'Z_BUF_ERROR';
    throw fileFailure(
      { file: name },
      truncated ? 'the gzip file ends in the middle: it is not whole' : 'it is no gzip file, or a damaged one',
      'Nothing of it was applied. Deliver it again, whole: under another name, then renamed.',
      error,
    );
  }
}
