import type pg from 'pg';
import { TidemarkFailure } from '../../model/failure.ts';

export type ChangeKind = 'created' | 'updated' | 'deactivated' | 'deleted' | 'restored' | 'link-added' | 'link-removed';

/** One change of the feed. */
export interface Change {
  /** `<feed position>:<change id>`; reading `after` it goes on with the next change. Nothing can appear behind a cursor that was read. */
  readonly cursor: string;
  readonly kind: ChangeKind;
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
  /** What the change took away or replaced: `{ key, attributes }`, each where it differs; null where the kind has none. */
  readonly before: Readonly<Record<string, unknown>> | null;
  /** What it put in their place; `{ reason }` for `deleted` and `deactivated`. */
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
  readonly stream: string;
  readonly source_id: string;
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly link: string | null;
  readonly target_stream: string | null;
  readonly target_source_id: string | null;
  readonly at: Date;
}

/**
 * Streams published changes in the order of (feed position, change id), beginning after a cursor, or with the oldest. Ends with the last
 * one there is. Fails with `InvalidConfiguration` for a cursor that is none.
 */
export async function* readChanges(pool: pg.Pool, after?: string): AsyncGenerator<Change> {
  let { position, id } = parseCursor(after ?? '0:0');
  for (;;) {
    const { rows: runs } = await pool.query<{ id: string; position: string; integration: string }>(
      `select id, feed_position as position, integration_id as integration
         from tidemark.sync_run where feed_position >= $1 order by feed_position limit 1`,
      [position],
    );
    const run = runs[0];
    if (run === undefined) return;
    if (run.position !== position) id = '0';
    for (;;) {
      const page = await changesOf(pool, run.id, id);
      for (const row of page) yield present(row, run);
      const last = page.at(-1);
      if (last === undefined || page.length < pageSize) break;
      id = last.id;
    }
    position = String(BigInt(run.position) + 1n);
    id = '0';
  }
}

async function changesOf(pool: pg.Pool, runId: string, afterId: string): Promise<readonly ChangeRow[]> {
  const { rows } = await pool.query<ChangeRow>(
    `select c.id, c.kind, o.stream, o.source_id, c.before, c.after, c.link, t.stream as target_stream, t.source_id as target_source_id, c.at
       from tidemark.change c
       join tidemark.object o on o.id = c.object_id
       left join tidemark.object t on t.id = c.target_id
      where c.run_id = $1 and c.id > $2 order by c.id limit ${pageSize}`,
    [runId, afterId],
  );
  return rows;
}

function present(row: ChangeRow, run: { readonly id: string; readonly position: string; readonly integration: string }): Change {
  return {
    cursor: `${run.position}:${row.id}`,
    kind: row.kind,
    integration: run.integration,
    stream: row.stream,
    sourceId: row.source_id,
    before: row.before,
    after: row.after,
    link: row.link === null ? null : { kind: row.link, target: { stream: row.target_stream ?? '', sourceId: row.target_source_id ?? '' } },
    run: run.id,
    at: row.at.toISOString(),
  };
}

function parseCursor(text: string): { readonly position: string; readonly id: string } {
  const match = /^(\d{1,18}):(\d{1,18})$/.exec(text);
  if (match === null) {
    throw new TidemarkFailure('InvalidConfiguration', `"${text}" is not a cursor of the change feed.`, {
      remedy: 'Give the "cursor" of a change that was read before, or none to begin with the oldest.',
    });
  }
  return { position: match[1] as string, id: match[2] as string };
}
