import { z } from 'zod';
import { fileFailure } from './failures.ts';
import { missing } from './file-names.ts';
import type { Place } from './place.ts';

/** What a file must be, by whoever wrote it. */
export interface Manifest {
  readonly name: string;
  /** Of the file as it lies there, in lower-case hex. */
  readonly sha256?: string | undefined;
  /** Objects in it; a header is none. */
  readonly rows?: number | undefined;
}

const content = z
  .object({
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/i)
      .transform((digest) => digest.toLowerCase())
      .optional(),
    rows: z.int().min(0).optional(),
  })
  .refine(({ sha256, rows }) => sha256 !== undefined || rows !== undefined);

const longestManifest = 64 * 1024;

/** Reads a manifest: a JSON object with `sha256`, `rows` or both. Fails with `ListingIncomplete` if it is not there or is none. */
export async function readManifest(place: Place, name: string): Promise<Manifest> {
  await using file = await place.open(name);
  if (file === undefined) throw missing(place, name);
  const parts: Buffer[] = [];
  if (file.size <= longestManifest) for await (const chunk of file.bytes()) parts.push(chunk);
  try {
    return { name, ...content.parse(JSON.parse(Buffer.concat(parts).toString('utf8'))) };
  } catch {
    throw fileFailure(
      { file: name },
      'it is no manifest',
      'Have it written as JSON, after the file that it proves: {"rows": 1234, "sha256": "..."}, with at least one of the two.',
    );
  }
}

/** Fails unless the file that was read is the one that the manifest proves. */
export function requireManifest(manifest: Manifest, file: string, read: { readonly sha256: string; readonly rows: number }): void {
  const remedy = 'Nothing of it was applied. If the files are being delivered, the next attempt sees both; otherwise deliver both anew.';
  if (manifest.rows !== undefined && manifest.rows !== read.rows) {
    throw fileFailure({ file }, `it has ${read.rows} rows, but ${manifest.name} says ${manifest.rows}`, remedy);
  }
  if (manifest.sha256 !== undefined && manifest.sha256 !== read.sha256) {
    throw fileFailure({ file }, `its sha256 is not the one in ${manifest.name}`, remedy);
  }
}
