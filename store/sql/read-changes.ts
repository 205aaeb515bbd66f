import type pg from 'pg';
import { type FeedPlace, findPlace, formatCursor, oldestPlace, requireWhole } from './feed-cursor.ts';

export type ChangeKind = 'created' | 'updated' | 'deactivated' | 'deleted' | 'restored' | 'link-added' | 'link-removed';

/** One change of the feed. */
export interface Change {
  /** Reading `after` it goes on with the next change. Nothing can appear behind a cursor that was read. Its text has no meaning to readers. */
  readonly cursor: string;
  readonly kind: ChangeKind;
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  /** What the change took away or replaced: `{ key, attributes }`, each where it differs; null for `created` and `restored`. */
  readonly before: Readonly<Record<string, unknown>> | null;
  /** What it put in their place; the whole object for `created` and `restored`, `{ reason }` for `deleted` and `deactivated`. */
  readonly after: Readonly<Record<string, unknown>> | null;
  /** Set for `link-added` and `link-removed`. */
  readonly link: { readonly kind: string; readonly target: { readonly stream: string; readonly sourceId: string } } | null;
  /** The run that made it. */
  readonly run: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}

const pageSize = 1_000;

interface ChangeRow {
  readonly id: string;
  readonly kind: ChangeKind;
  readonly stream: string | null;
  readonly source_id: string | null;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly link: string | null;
  readonly target_stream: string | null;
  readonly target_source_id: string | null;
  readonly at: Date;
}

/** Publications that are looked up at once. */
const entriesAtOnce = 100;

interface Entry {
  readonly position: string;
  readonly tag: string;
  readonly run_id: string;
  readonly integration_id: string;
  readonly after_change: string;
  readonly last_change: string;
}

/**
 * Streams published changes in the order of the feed, beginning after a cursor, or with the oldest. Ends with the last one there is. Fails
 * with `InvalidConfiguration` for a cursor that is none, `CursorExpired` for one that is too old (which can also come of a reader that takes
 * longer than the retention), and `CursorUnknown` for one that this feed never gave out.
 */
export async function* readChanges(client: pg.Pool | pg.ClientBase, after?: string): AsyncGenerator<Change> {
  let place = after === undefined ? await oldestPlace(client) : await findPlace(client, after);
  for (;;) {
    const { rows: entries } = await client.query<Entry>(
      `select position, tag, run_id, integration_id, after_change, last_change from tidemark.feed_entry
        where position >= $1 and (position > $1 or last_change > $2) order by position limit ${entriesAtOnce}`,
      [place.position, place.change],
    );
    for (const entry of entries) {
      let change = entry.position === place.position ? place.change : entry.after_change;
      for (;;) {
        const page = await changesOf(client, entry, change);
        // What was removed while the page was read was given up before.
        await requireWhole(client, place);
        for (const row of page) {
          change = row.id;
          place = { position: entry.position, tag: entry.tag, change };
          yield present(row, entry, place);
        }
        if (page.length < pageSize) break;
      }
      place = { position: entry.position, tag: entry.tag, change: entry.last_change };
    }
    if (entries.length < entriesAtOnce) return;
  }
}

async function changesOf(client: pg.Pool | pg.ClientBase, entry: Entry, after: string): Promise<readonly ChangeRow[]> {
  const { rows } = await client.query<ChangeRow>(
    `select c.id, c.kind, o.stream, o.source_id, c.before, c.after, c.link, t.stream as target_stream, t.source_id as target_source_id, c.at
       from tidemark.change_page($1, $2, $3, ${pageSize}) c
       left join lateral (select s.stream, s.source_id from tidemark.object s where s.id = c.object_id offset 0) o on true
       left join lateral (select s.stream, s.source_id from tidemark.object s where s.id = c.target_id offset 0) t on true
      order by c.id`,
    [entry.run_id, after, entry.last_change],
  );
  return rows;
}

function present(row: ChangeRow, entry: Entry, place: FeedPlace): Change {
  return {
    cursor: formatCursor(place),
    kind: row.kind,
    integration: entry.integration_id,
    stream: row.stream ?? '',
    sourceId: row.source_id ?? '',
    before: row.before,
    after: row.after,
    link: row.link === null ? null : { kind: row.link, target: { stream: row.target_stream ?? '', sourceId: row.target_source_id ?? '' } },
    run: entry.run_id,
    at: row.at.toISOString(),
  };
}
