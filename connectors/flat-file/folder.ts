import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { TidemarkFailure } from '../../model/failure.ts';
import { chunkBytes, type OpenFile, type Place } from './place.ts';
import { folderIdentity } from './place-identity.ts';

/** A folder that this machine has, or has mounted. */
export function openFolder(folder: string): Place {
  const path = resolve(folder);
  return {
    identity: folderIdentity(folder),
    async list() {
      try {
        const entries = await readdir(path, { withFileTypes: true });
        return entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map(({ name }) => name);
      } catch (error) {
        throw failureOf(error, `The folder ${path}`);
      }
    },
    async open(name) {
      try {
        return await openFile(await open(join(path, name), 'r'), name);
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined;
        throw failureOf(error, name);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function openFile(handle: FileHandle, name: string): Promise<OpenFile> {
  const state = async () => {
    const { size, mtimeNs } = await handle.stat({ bigint: true });
    return { size, mtimeNs };
  };
  const before = await state();
  return {
    size: Number(before.size),
    writtenAtMs: Number(before.mtimeNs / 1_000_000n),
    async *bytes() {
      try {
        for await (const chunk of handle.createReadStream({ start: 0, autoClose: false, highWaterMark: chunkBytes })) yield chunk as Buffer;
      } catch (error) {
        throw failureOf(error, name);
      }
    },
    async isUnchanged() {
      const now = await state();
      return now.size === before.size && now.mtimeNs === before.mtimeNs;
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function failureOf(error: unknown, what: string): TidemarkFailure {
  const code = codeOf(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return new TidemarkFailure('RightsMissing', `${what} may not be read (${code})`, {
      remedy: 'Let the user of the worker read the folder and its files.',
    });
  }
  return new TidemarkFailure(
    'SourceUnavailable',
    `${what} can not be read (${code ?? 'unknown error'})`,
    { remedy: 'Check the folder of the settings, and that it is mounted on the machine of the worker.' },
    error,
  );
}
