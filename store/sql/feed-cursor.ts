import type pg from 'pg';
import { TidemarkFailure } from '../../model/failure.ts';

/**
 * A place in the change feed: everything up to change `change` of position `position` has been read. `tag` is random and given with the
 * position: a position of another database, or of a history that a restored backup has undone, has another one.
 */
export interface FeedPlace {
  readonly position: string;
  readonly tag: string;
  readonly change: string;
}

/** `<position>-<tag>:<change>`; to readers a text without meaning. */
export function formatCursor({ position, tag, change }: FeedPlace): string {
  return `${position}-${tag}:${change}`;
}

const reload =
  'Note the cursor of "tidemark changes --cursor", read the objects anew ("tidemark objects"), then follow the changes after that cursor.';

/** Fails with `InvalidConfiguration` for a text that is no cursor. */
function parseCursor(text: string): FeedPlace {
  const match = /^(\d{1,18})-([0-9a-f]{8}):(\d{1,18})$/.exec(text);
  if (match === null) {
    throw new TidemarkFailure('InvalidConfiguration', `"${text}" is not a cursor of the change feed.`, {
      remedy: 'Give the "cursor" of a change that was read before, or none to begin with the oldest change.',
    });
  }
  const [, position, tag, change] = match as unknown as readonly [string, string, string, string];
  return { position, tag, change };
}

interface FeedState {
  readonly last_position: string;
  readonly oldest_position: string;
}

interface Ends extends FeedState {
  /** Of the position before the oldest that is still whole. */
  readonly tag: string;
  readonly last_change: string;
}

/** The oldest place after which the feed is whole. */
async function readEnds(client: pg.Pool | pg.ClientBase): Promise<Ends> {
  const { rows } = await client.query<Ends>(
    `select f.last_position, f.oldest_position, e.tag, e.last_change
       from tidemark.feed f join tidemark.feed_entry e on e.position = f.oldest_position - 1`,
  );
  return rows[0] as Ends;
}

/** A short text that no other Tidemark database has. */
export async function readDatabaseId(client: pg.Pool | pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ id: string }>(`select id from tidemark.feed`);
  return rows[0]?.id as string;
}

/** The place after the last change that has been published. */
export async function newestPlace(client: pg.Pool | pg.ClientBase): Promise<FeedPlace> {
  const { rows } = await client.query<FeedPlace>(
    `select e.position, e.tag, e.last_change as change from tidemark.feed_entry e order by e.position desc limit 1`,
  );
  return rows[0] as FeedPlace;
}

/** The oldest place from which a reader misses nothing. */
export async function oldestPlace(client: pg.Pool | pg.ClientBase): Promise<FeedPlace> {
  const { oldest_position, tag, last_change } = await readEnds(client);
  return { position: String(BigInt(oldest_position) - 1n), tag, change: last_change };
}

/**
 * The place of a cursor. Fails with `InvalidConfiguration` for a text that is none, with `CursorExpired` where changes after it have been
 * removed, and with `CursorUnknown` where this database's feed has never come to it.
 */
export async function findPlace(client: pg.Pool | pg.ClientBase, cursor: string): Promise<FeedPlace> {
  const place = parseCursor(cursor);
  await requireWhole(client, place);
  const { rows } = await client.query<{ tag: string; last_change: string }>(
    `select tag, last_change from tidemark.feed_entry where position = $1`,
    [place.position],
  );
  const entry = rows[0];
  if (entry === undefined) await requireWhole(client, place);
  if (entry === undefined || entry.tag !== place.tag || BigInt(place.change) > BigInt(entry.last_change)) {
    throw new TidemarkFailure(
      'CursorUnknown',
      `The change feed of this database has no cursor ${cursor}: it is of another database, or this one was restored from a backup that is older.`,
      { remedy: reload },
    );
  }
  return place;
}

/** Fails with `CursorExpired` unless every change after the place is still there. Asked after a page was read, it proves the page whole. */
export async function requireWhole(client: pg.Pool | pg.ClientBase, place: FeedPlace): Promise<void> {
  const { oldest_position, tag, last_change } = await readEnds(client);
  const beforeOldest = BigInt(oldest_position) - 1n;
  const position = BigInt(place.position);
  if (position > beforeOldest || (position === beforeOldest && BigInt(place.change) >= BigInt(last_change))) return;
  const oldest = formatCursor({ position: String(beforeOldest), tag, change: last_change });
  throw new TidemarkFailure(
    'CursorExpired',
    `The cursor ${formatCursor(place)} is too old: changes after it have left the change feed (retention.changes). The oldest cursor that is still good is ${oldest}.`,
    { remedy: reload },
  );
}
