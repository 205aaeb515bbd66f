import type { Found, Item } from '../../model/item.ts';
import type { ReadEnd } from '../connector.ts';
import type { FilesPosition } from './markers.ts';

/** The files of one stream, read one way or another. Methods fail with `ListingIncomplete` where a file can't be believed. */
export interface StreamFiles {
  /** What the files hold now, by content. */
  position(): Promise<FilesPosition>;
  readAll(): AsyncGenerator<readonly Item[], ReadEnd>;
  readChanges(since: FilesPosition, upTo: FilesPosition): AsyncGenerator<readonly Item[], ReadEnd>;
  readByIds(ids: readonly string[]): Promise<ReadonlyMap<string, Found>>;
}
