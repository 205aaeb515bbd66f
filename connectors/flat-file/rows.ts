/** One value of a row, or the values of a list; `undefined` if there is none. */
export type Cell = string | number | boolean | readonly string[] | undefined;

/** A row, in whatever format. */
export interface Row {
  /** Where it begins, from 1; for rows over several lines of a CSV file, where it ends. */
  readonly line: number;
  /** The cells of the columns that were asked for, in their order. Fails if the row is not what a row must be. */
  cells(): readonly Cell[];
  /** One of them, without a look at the rest of the row, where that is cheap. */
  peek?(place: number): Cell;
  /** What its cells follow from, such as the row as it stands there: equal ones of one stream have equal cells. */
  readonly record?: string;
  /** The kind of change of an LDIF change record, where `changes` were asked for. */
  readonly changetype?: string;
}

/** What is read of a file. */
export interface RowsWanted {
  /** Name of the file, for failures. */
  readonly file: string;
  readonly columns: readonly string[];
}

/** No row may be longer: an open quote or a missing line feed would otherwise take the whole file into memory. */
export const longestRow = 16 * 1024 * 1024;
