import { z } from 'zod';
import type { Marker, ServerIdentity } from '../../model/marker.ts';
import type { ContentFacts } from './content.ts';

/** A file by what is in it. */
export interface FileIdentity extends ContentFacts {
  readonly name: string;
  /** Change files: the first and the last sequence number in it. */
  readonly first?: number | undefined;
  readonly last?: number | undefined;
}

/** Where a stream stands: which files it was read from. */
export interface FilesPosition {
  readonly files: readonly FileIdentity[];
  /** Change files: the sequence number up to which everything is known. */
  readonly upTo?: number | undefined;
}

const fileIdentity = z.strictObject({
  name: z.string(),
  size: z.int(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  lines: z.int(),
  first: z.int().optional(),
  last: z.int().optional(),
});
const filesPosition = z.strictObject({ files: z.array(fileIdentity), upTo: z.int().optional() });

const kind = 'files';

/** @param takenAt by the worker's clock: files have none that tells the time now */
export function markerAt(position: FilesPosition, server: ServerIdentity, takenAt: string): Marker {
  return { kind, position: JSON.stringify(position), server, takenAt };
}

/** The position of a marker; `undefined` if it is none of this connector's. */
export function positionOf(marker: Marker): FilesPosition | undefined {
  if (marker.kind !== kind) return undefined;
  try {
    return filesPosition.parse(JSON.parse(marker.position));
  } catch {
    return undefined;
  }
}

/** Whether two sets of files have the same content in the same order, whatever they are called. */
export function isSameContent(one: FilesPosition, other: FilesPosition): boolean {
  return (
    one.files.length === other.files.length &&
    one.files.every(({ sha256, size }, index) => sha256 === other.files[index]?.sha256 && size === other.files[index].size)
  );
}

export function linesOfAll({ files }: FilesPosition): number {
  return files.reduce((sum, { lines }) => sum + lines, 0);
}
