import { gunzipSync } from 'node:zlib';
import { unzipSync } from 'fflate';

/** The content of one file of a zip archive (a Python wheel is one); throws if it is not in there. */
export function fileFromZip(archive: Uint8Array, path: string): Uint8Array {
  const content = unzipSync(archive, { filter: (entry) => entry.name === path })[path];
  if (content === undefined) throw new Error(`the archive does not hold ${path}`);
  return content;
}

const blockBytes = 512;

/** The content of one file of a .tar.gz archive (ustar: POSIX.1-1988 headers of 512 bytes); throws if it is not in there. */
export function fileFromTarGz(archive: Uint8Array, path: string): Uint8Array {
  const tar = gunzipSync(archive);
  for (let offset = 0; offset + blockBytes <= tar.length; ) {
    const name = text(tar, offset, 100);
    if (name === '') break;
    const bytes = Number.parseInt(text(tar, offset + 124, 12).trim(), 8);
    if (!Number.isInteger(bytes)) break;
    const start = offset + blockBytes;
    if (name.replace(/^\.\//, '') === path) return tar.subarray(start, start + bytes);
    offset = start + Math.ceil(bytes / blockBytes) * blockBytes;
  }
  throw new Error(`the archive does not hold ${path}`);
}

function text(buffer: Buffer, start: number, length: number): string {
  const field = buffer.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? length : end).toString('utf8');
}
