import { Writable } from 'node:stream';
import { reports, userAttributes } from './population.ts';
import type { BenchSource } from './source.ts';
import { type Summary, summing } from './summary.ts';

/** The columns of a file or table of people: what a directory has of a user. The first is the key; the last one holds the manager's. */
export const columns = [
  'employeeNumber',
  'uid',
  'cn',
  'sn',
  'givenName',
  'displayName',
  'mail',
  'title',
  'ou',
  'o',
  'employeeType',
  'telephoneNumber',
  'mobile',
  'l',
  'postalCode',
  'manager',
] as const;

export type Column = (typeof columns)[number];

/** Cells in the order of the columns. */
export type Person = readonly string[];

/** Mapped attribute to expression: each column; the manager makes a link, too. */
export const mapping = {
  employeeNumber: 'source.employeeNumber',
  userName: 'source.uid',
  formattedName: 'source.cn',
  familyName: 'source.sn',
  givenName: 'source.givenName',
  displayName: 'source.displayName',
  email: 'source.mail',
  title: 'source.title',
  department: 'source.ou',
  organization: 'source.o',
  employeeType: 'source.employeeType',
  phone: 'source.telephoneNumber',
  mobile: 'source.mobile',
  city: 'source.l',
  postalCode: 'source.postalCode',
  managerNumber: 'source.manager',
} as const;

/** Mapped attributes that are compared with the source, with their columns. */
const compared: Readonly<Record<string, Column>> = {
  userName: 'uid',
  displayName: 'displayName',
  email: 'mail',
  title: 'title',
  employeeNumber: 'employeeNumber',
};

export const comparedAttributes = Object.keys(compared);

export function cellOf(person: Person, column: Column): string {
  return person[columns.indexOf(column)] ?? '';
}

export function keyOf(person: Person): string {
  return cellOf(person, 'employeeNumber');
}

/** Counts and hashes of people and of the links to their managers, as they must be stored with `uid` for the key people look them up by. */
export async function summaryOfPeople(people: AsyncIterable<Person>): Promise<Summary> {
  const { add, summary } = summing();
  const managers = new Map<string, string>();
  for await (const person of people) {
    const names = ['employeeNumber', 'uid', ...Object.values(compared)] as const;
    add(
      'users',
      names.map((column) => cellOf(person, column)),
    );
    managers.set(keyOf(person), cellOf(person, 'manager'));
  }
  for (const [from, to] of managers) if (managers.has(to)) add('manager links', [from, 'manager', to]);
  return summary;
}

/** Reads to the end. */
export async function discarded(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const row of rows) void row;
}

/** A source that holds people as rows. */
export interface PeopleSource extends BenchSource {
  people(): AsyncGenerator<Person>;
}

/** What one round changed. */
export interface Changes {
  readonly edited: readonly Person[];
  readonly hired: readonly Person[];
  /** Keys of people who left. */
  readonly left: readonly string[];
}

/** Everybody of a company of this size, and what became of them. The same numbers give the same people. */
export interface Roster {
  everybody(): Generator<Person>;
  /** Gives people another title. */
  edit(from: number, count: number, what: string): Changes;
  /** Of so many changes 90 % are other titles, and 5 % each people who are hired and who leave. */
  change(count: number, round: string, from: number): Changes;
}

export function rosterOf(users: number): Roster {
  const titles = new Map<number, string>();
  const newcomers: Person[] = [];
  // The last ones lead nobody, so they are who leaves.
  let staying = users;
  const person = (index: number): Person => {
    const manager = index === 0 ? {} : { manager: numberOf(Math.floor((index - 1) / reports)) };
    return personOf({ ...userAttributes(index), ...manager, title: titles.get(index) ?? userAttributes(index).title });
  };
  function edit(from: number, count: number, what: string): Changes {
    const indexes = Array.from({ length: count }, (_, offset) => from + offset).filter((index) => index < staying);
    for (const index of indexes) titles.set(index, `Title ${what} ${index}`);
    return { edited: indexes.map(person), hired: [], left: [] };
  }
  return {
    *everybody() {
      for (let index = 0; index < staying; index++) yield person(index);
      yield* newcomers;
    },
    edit,
    change(count, round, from) {
      const some = Math.floor(count / 20);
      const { edited } = edit(from, count - 2 * some, round);
      const left = Array.from({ length: some }, () => numberOf(--staying));
      const hired = Array.from({ length: some }, (_, index) => newcomer(`hired-${round}-${index}`));
      newcomers.push(...hired);
      return { edited, hired, left };
    },
  };
}

function newcomer(name: string): Person {
  return personOf({
    employeeNumber: name,
    uid: name,
    cn: name,
    sn: name,
    displayName: name,
    mail: `${name}@company.example`,
    title: 'New',
    manager: numberOf(0),
  });
}

function personOf(attributes: Readonly<Record<string, unknown>>): Person {
  return columns.map((column) => String(attributes[column] ?? ''));
}

function numberOf(index: number): string {
  return String(userAttributes(index).employeeNumber);
}

const rowsOfBlock = 1_000;

/** People as CSV with a header, in blocks. No cell needs quotes. */
export function* csvOf(people: Iterable<Person>): Generator<string> {
  let block = [columns.join(',')];
  for (const person of people) {
    block.push(person.join(','));
    if (block.length < rowsOfBlock) continue;
    yield `${block.join('\n')}\n`;
    block = [];
  }
  if (block.length > 0) yield `${block.join('\n')}\n`;
}

/** Where bytes are discarded. */
export function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
