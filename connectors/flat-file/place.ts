import type { ServerIdentity } from '../../model/marker.ts';

/** The folder, on whatever machine, that the files of an integration lie in. Its methods fail with `TidemarkFailure`s. */
export interface Place extends AsyncDisposable {
  readonly identity: ServerIdentity;
  /** Names of the files directly in the folder. */
  list(): Promise<readonly string[]>;
  /** Opens a file as it is now; `undefined` if there is none of this name. */
  open(name: string): Promise<OpenFile | undefined>;
}

/**
 * A file as it was when it was opened. Whoever puts another one in its place (a rename, a new object) does not change it; whoever writes into
 * it does, and then {@link OpenFile.isUnchanged} says so.
 */
export interface OpenFile extends AsyncDisposable {
  /** Bytes, when it was opened. */
  readonly size: number;
  /** When it was last written, by the clock of the place; `undefined` where a file is there whole or not at all. */
  readonly writtenAtMs: number | undefined;
  bytes(): AsyncIterable<Buffer>;
  /** Whether nobody has written into it since it was opened. */
  isUnchanged(): Promise<boolean>;
}

/** Bytes asked for at once. */
export const chunkBytes = 256 * 1024;
