import { z } from 'zod';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker, MarkerVerdict } from '../../model/marker.ts';
import { type Column, fits } from './columns.ts';
import type { Database } from './database.ts';
import { single } from './dialect.ts';
import { type StreamShape, type TrackerShape, tableParts } from './shape.ts';
import { type Builder, qualified, statementOf } from './statement.ts';
import type { Tracker } from './streams.ts';
import { compareReadings, lowestReadingSince, readingMs, wallClockAt } from './wall-clock.ts';

/** Where one order of changes stands. */
interface Place {
  /** The greatest value there was, as the database writes it; an empty text if there was none. */
  readonly at: string;
  /** Which table it was: another one under the same name, or the same one after it was emptied, is not comparable. */
  readonly of?: string | undefined;
}

/** Tracker's name to place. */
export type Positions = ReadonlyMap<string, Place>;

const positionSchema = z.record(z.string(), z.strictObject({ at: z.string(), of: z.string().optional() }));

export function parsePosition(text: string): Positions | undefined {
  try {
    const parsed = positionSchema.safeParse(JSON.parse(text));
    return parsed.success ? new Map(Object.entries(parsed.data)) : undefined;
  } catch {
    return undefined;
  }
}

export function positionText(positions: Positions): string {
  return JSON.stringify(Object.fromEntries(positions));
}

/** Transaction ids in rows have 32 bits and go round; half of them count as past. A marker must stay far from that. */
const transactionsAtMost = 2n ** 30n;
const transactionIds = 2n ** 32n;

/** The database's own time: ISO 8601, UTC, with its precision. */
export async function databaseNow({ dialect, ask }: Database): Promise<string> {
  const now = single(await ask({ text: `select ${dialect.utcNow}${dialect.fromNothing}`, parameters: [] }, 'the time'));
  if (now === null || readingMs(now) === undefined) throw new Error(`${dialect.product} gives no time`);
  return now.endsWith('Z') ? now : `${now}Z`;
}

/** Where all orders of changes of a stream stand. Nothing is read before. */
export async function readPositions(database: Database, shape: StreamShape, now: string): Promise<Positions> {
  const places = new Map<string, Place>();
  for (const tracked of shape.trackers) {
    const of = await generationOf(database, tracked);
    const at = await placeNow(database, tracked, shape.plan.name, now);
    places.set(tracked.tracker.name, { at, ...(of === undefined ? {} : { of }) });
  }
  return places;
}

async function placeNow(database: Database, tracked: TrackerShape, stream: string, now: string): Promise<string> {
  const { tracker } = tracked;
  switch (tracker.by) {
    case 'xmin':
      return oldestRunning(database);
    case 'rowversion':
      return lowestActive(database);
    case 'version': {
      const { greatest } = await extremes(database, tracked, stream);
      return greatest;
    }
    case 'timestamp': {
      const { greatest } = await extremes(database, tracked, stream);
      const reading = readingNow(tracked, now);
      // A date in the future would make a delta leave out all that comes before it.
      return greatest !== '' && compareReadings(greatest, reading) > 0 ? reading : greatest;
    }
  }
}

/** What the column would hold if it were written now. */
function readingNow({ tracker, column }: TrackerShape, now: string): string {
  return column?.kind === 'instant' ? now : wallClockAt(tracker.timezone ?? 'UTC', now);
}

async function extremes(
  database: Database,
  { column, from, tracker }: TrackerShape,
  stream: string,
): Promise<{ readonly least: string; readonly greatest: string }> {
  if (column === undefined) throw new Error(`${tracker.name} has no column`);
  const name = qualified(database.dialect, column);
  const text = `select min(${name}) as tidemark_min, max(${name}) as tidemark_max from ${from}`;
  const { rows } = await database.ask({ text, parameters: [] }, `the newest of ${tracker.name} of stream ${stream}`);
  return { least: rows[0]?.[0] ?? '', greatest: rows[0]?.[1] ?? '' };
}

/** All transactions with a lower id are over, and what they wrote can be seen. */
async function oldestRunning(database: Database): Promise<string> {
  const text = 'select pg_snapshot_xmin(pg_current_snapshot())::text';
  return single(await database.ask({ text, parameters: [] }, 'the oldest running transaction')) ?? '';
}

/** All rows with a lower row version are committed. @@DBTS would not say that. */
async function lowestActive(database: Database): Promise<string> {
  const text = 'select convert(varchar(18), min_active_rowversion(), 1)';
  return single(await database.ask({ text, parameters: [] }, 'the lowest active row version')) ?? '';
}

async function generationOf(database: Database, { tracker }: TrackerShape): Promise<string | undefined> {
  const { dialect } = database;
  if (dialect.generation === undefined || !('table' in tracker.relation)) return undefined;
  const builder = statementOf(dialect);
  const text = dialect.generation(tableParts(dialect, tracker.relation.table), (value) =>
    builder.bind(value, { kind: 'text', type: 'text' }),
  );
  return single(await database.ask(builder.build(text), `the table of ${tracker.name}`)) ?? undefined;
}

/** Whether changes since a marker can be read without loss, as far as the declaration promises it. */
export async function judgePositions(database: Database, shape: StreamShape, since: Marker, now: string): Promise<MarkerVerdict> {
  const positions = parsePosition(since.position);
  const takenMs = readingMs(since.takenAt);
  if (positions === undefined) return invalid('Its position can not be read.');
  if (takenMs === undefined) return invalid('It does not say when it was taken.');
  for (const tracked of shape.trackers) {
    const reason = await doubtAbout(
      database,
      tracked,
      shape.plan.name,
      positions.get(tracked.tracker.name),
      (readingMs(now) ?? 0) - takenMs,
    );
    if (reason !== undefined) return invalid(reason);
  }
  return { valid: true };
}

async function doubtAbout(
  database: Database,
  tracked: TrackerShape,
  stream: string,
  place: Place | undefined,
  ageMs: number,
): Promise<string | undefined> {
  const { tracker, column } = tracked;
  const what = 'table' in tracker.relation ? tracker.relation.table : 'the query';
  if (place === undefined) return `It knows nothing of ${tracker.name}.`;
  if (tracker.keepsMs !== undefined && ageMs > tracker.keepsMs) return `It is older than the entries of ${what} are kept.`;
  if (place.of !== (await generationOf(database, tracked)))
    return `The table ${what} was emptied, rewritten or made anew since it was taken.`;
  if (tracker.by === 'xmin' || tracker.by === 'rowversion') {
    const isNumber = tracker.by === 'xmin' ? /^\d+$/ : /^0x[0-9A-F]+$/i;
    if (!isNumber.test(place.at)) return `Its place in ${what} can not be read.`;
    const current = tracker.by === 'xmin' ? await oldestRunning(database) : await lowestActive(database);
    const passed = BigInt(current) - BigInt(place.at);
    if (passed < 0n) return `${restored(what)} it has counted to ${current} only, and the marker is at ${place.at}.`;
    return tracker.by === 'xmin' && passed > transactionsAtMost
      ? 'More transactions have passed than row versions can tell apart.'
      : undefined;
  }
  if (place.at === '') return undefined;
  if (!(tracker.by === 'timestamp' ? readingMs(place.at) !== undefined : isWhole(place.at))) return `Its place in ${what} can not be read.`;
  const { least, greatest } = await extremes(database, tracked, stream);
  const compare = tracker.by === 'timestamp' ? compareReadings : compareWhole;
  if (greatest === '' || compare(greatest, place.at) < 0)
    return `${restored(what)} its newest ${column?.name} is ${greatest === '' ? 'missing' : greatest}, and the marker is at ${place.at}. Rows may also have been deleted.`;
  if (tracker.gives === 'keys' && compare(least, place.at) > 0)
    return `The oldest entry of ${what} is newer than the marker: entries in between may have been removed.`;
  return undefined;
}

function restored(what: string): string {
  return `${what} was set back to an earlier state, as by restoring a backup:`;
}

function isWhole(text: string): boolean {
  return /^-?\d+$/.test(text);
}

function compareWhole(a: string, b: string): number {
  if (!isWhole(a) || !isWhole(b)) return Number.NaN;
  const difference = BigInt(a) - BigInt(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The condition of what changed since a place, reaching back as far as the lag says. */
export function changedSince(builder: Builder, { tracker, column }: TrackerShape, place: Place | undefined): string {
  if (place === undefined) throw new Error('a marker that was judged valid knows its place');
  if (tracker.by === 'xmin') {
    const since = builder.bind(String(BigInt(place.at) % transactionIds), { kind: 'bigint', type: 'bigint' });
    return `(q.xmin::text::bigint - cast(${since} as bigint) + ${transactionIds}) % ${transactionIds} < ${transactionIds / 2n}`;
  }
  if (column === undefined) throw new Error(`${tracker.name} has no column`);
  const name = qualified(builder.dialect, column);
  if (tracker.by === 'rowversion') return `${name} >= convert(binary(8), ${builder.bind(place.at, { kind: 'text', type: 'varchar' })}, 1)`;
  if (place.at === '') return `${name} is not null`;
  return `${name} >= ${builder.bind(reachingBack(tracker, column, place.at), column)}`;
}

function reachingBack(tracker: Tracker, column: Column, at: string): string {
  if (tracker.by === 'version') return String(BigInt(at) - BigInt(tracker.lag));
  const since = lowestReadingSince(column.kind === 'instant' ? 'UTC' : (tracker.timezone ?? 'UTC'), at, tracker.lag);
  if (column.kind === 'date') return since.slice(0, 10);
  return column.kind === 'instant' ? `${since}Z` : since;
}

/** Why deltas can't go by this column; `undefined` if they can. */
export function unsafeOrder({ tracker, column }: TrackerShape): { readonly message: string; readonly remedy: string } | undefined {
  if (column === undefined || tracker.by === 'xmin') return undefined;
  const named = `${column.name}, of type ${column.type},`;
  if (tracker.by === 'version' && !['integer', 'bigint', 'decimal'].includes(column.kind)) {
    return { message: `${named} is no whole number that changes could be ordered by`, remedy: 'Name a column of an integer type.' };
  }
  if (tracker.by === 'timestamp' && !['timestamp', 'instant', 'date'].includes(column.kind)) {
    return { message: `${named} holds no time`, remedy: 'Name a column of a date and time type, or go by version.' };
  }
  if (tracker.by === 'timestamp' && column.kind !== 'instant' && tracker.timezone === undefined) {
    return {
      message: `${named} does not say which zone its times are in`,
      remedy: 'Say so with timezone: Europe/Berlin, or timezone: UTC. Clocks that are set back would make deltas miss changes.',
    };
  }
  return undefined;
}

/** Positions of numbers must be whole, whatever the column could hold. */
export function requireReadable(shape: StreamShape, positions: Positions): void {
  for (const { tracker, column } of shape.trackers) {
    const at = positions.get(tracker.name)?.at ?? '';
    if (at === '' || tracker.by === 'xmin' || tracker.by === 'rowversion') continue;
    if (tracker.by === 'version' ? isWhole(at) : readingMs(at) !== undefined && column !== undefined && fits(column, at)) continue;
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `Stream ${shape.plan.name}: the newest ${column?.name} is ${at}, which changes can not be ordered by`,
      {
        stream: shape.plan.name,
        remedy: 'Correct the row, or go by another column. PostgreSQL takes infinity for a time; it must not stand there.',
      },
    );
  }
}

function invalid(reason: string): MarkerVerdict {
  return { valid: false, reason };
}
