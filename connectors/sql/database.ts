import type { Cell, Column, ColumnKind } from './columns.ts';
import type { Dialect } from './dialect.ts';

/** A value for a place in a statement. Values never become part of its text. */
export interface Parameter {
  readonly value: string;
  readonly kind: ColumnKind;
}

export interface Statement {
  readonly text: string;
  readonly parameters: readonly Parameter[];
}

export interface Answer {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

/** One signed-in connection. Every error of it is a `TidemarkFailure`. */
export interface Database extends AsyncDisposable {
  readonly dialect: Dialect;
  /** Host, port and database, as people know them. */
  readonly name: string;
  /** @param what is asked, for messages: `the rows of stream users` */
  ask(statement: Statement, what: string): Promise<Answer>;
  /** From here on reads see one state of the database, until {@link Database.endSnapshot}. */
  beginSnapshot(): Promise<void>;
  endSnapshot(): Promise<void>;
}

/** Runs reads that see one state of the database. */
export async function* inSnapshot<Page, End>(database: Database, read: () => AsyncGenerator<Page, End>): AsyncGenerator<Page, End> {
  await database.beginSnapshot();
  let failed = true;
  try {
    const end = yield* read();
    failed = false;
    await database.endSnapshot();
    return end;
  } finally {
    // A connection that broke has no snapshot to end, and what broke it is what is to be told.
    if (failed) await database.endSnapshot().catch(() => undefined);
  }
}
