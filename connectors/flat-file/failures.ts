import { TidemarkFailure } from '../../model/failure.ts';

/** Where something stands: the file's name, and the line if one is to blame. Never a value of the row. */
export interface FilePlace {
  readonly file: string;
  /** From 1. */
  readonly line?: number;
}

/** A file that can't be believed, or read to its end. Nothing of it is applied; another delivery may be better, so it is tried again. */
export function fileFailure({ file, line }: FilePlace, what: string, remedy: string, cause?: unknown): TidemarkFailure {
  return new TidemarkFailure('ListingIncomplete', `${file}${line === undefined ? '' : `, line ${line}`}: ${what}`, { remedy }, cause);
}

/** A file that is not what the settings say: its columns, its format, its words. */
export function settingsFailure({ file, line }: FilePlace, what: string, remedy: string): TidemarkFailure {
  return new TidemarkFailure('InvalidConfiguration', `${file}${line === undefined ? '' : `, line ${line}`}: ${what}`, { remedy });
}
