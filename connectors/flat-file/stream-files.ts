import type { Found, Item } from '../../model/item.ts';
import type { MarkerVerdict } from '../../model/marker.ts';
import type { ReadEnd } from '../connector.ts';
import type { FileReader } from './file-reader.ts';
import type { FilesPosition } from './markers.ts';
import type { ObjectReader } from './object-reader.ts';
import type { FlatFileStreamSettings } from './settings.ts';

/** The files of one stream, read one way or another. Methods fail with `ListingIncomplete` where a file can't be believed. */
export interface StreamFiles {
  /** Names of the files that hold everybody now; the base file, where change files follow it. */
  whole(): Promise<readonly string[]>;
  /** What the files hold now, by content. */
  position(): Promise<FilesPosition>;
  judge(since: FilesPosition): Promise<MarkerVerdict>;
  readAll(upTo: FilesPosition): AsyncGenerator<readonly Item[], ReadEnd>;
  readChanges(since: FilesPosition, upTo: FilesPosition): AsyncGenerator<readonly Item[], ReadEnd>;
  readByIds(ids: readonly string[]): Promise<ReadonlyMap<string, Found>>;
}

export interface StreamFilesOptions {
  readonly stream: string;
  readonly settings: FlatFileStreamSettings;
  readonly reader: FileReader;
  readonly objects: ObjectReader;
  readonly pageSize: number;
}
