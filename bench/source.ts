import type { Summary } from './summary.ts';

/** What syncs are measured against: a filled directory, file or table, how it changes, and how it is read without Tidemark. */
export interface BenchSource {
  readonly name: 'slapd' | 'samba' | 'csv' | 'table';
  readonly version: string;
  readonly users: number;
  /** What an integration signs in with; empty where nobody asks. */
  readonly password: string;
  /** The block of an integration that reads it, schedules aside. `passwordFile` holds the password. */
  integration(passwordFile: string): Readonly<Record<string, unknown>>;
  /** Ways to read all of it, everything discarded. Ratios are of the first. */
  readonly readings: readonly Reading[];
  /** A way to find alone what has changed between this call and the reading. */
  finding(): Promise<Reading>;
  /** Gives this many users another title, beginning with one of them; `what` makes the title a new one. */
  edit(from: number, count: number, what: string): Promise<void>;
  /** Makes so many changes of several kinds, beginning with one of the users. Rounds concern different people. */
  change(count: number, round: string, from: number): Promise<void>;
  /** Hires somebody and puts him into the largest group. Undefined where there are no groups. */
  readonly addMember: ((round: string) => Promise<void>) | undefined;
  /** Mapped attributes whose first value is compared with what is stored, by stream; id and key are compared everywhere. */
  readonly compared: Readonly<Record<string, readonly string[]>>;
  readonly linkKinds: readonly string[];
  /** What the source holds, read anew: ids, keys and compared attributes of each stream, and links by their kind. */
  summarize(): Promise<Summary>;
}

export interface Reading {
  readonly name: string;
  read(): Promise<void>;
}
