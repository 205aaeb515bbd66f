import type pg from 'pg';
import { inTransaction } from './fence.ts';

/** One attempt of an activity that wants a session with a source. */
export interface SessionAsker {
  readonly source: string;
  readonly maxSessions: number;
  readonly integration: string;
  /** The Temporal run and the activity in it: its attempts have one place in the line, and one session. */
  readonly holder: string;
  readonly attempt: number;
}

/** `waits`: behind so many sessions and askers too many; 0 is next. `superseded`: a later attempt has come meanwhile. */
export type SessionAnswer =
  | { readonly kind: 'granted' }
  | { readonly kind: 'waits'; readonly behind: number }
  | { readonly kind: 'superseded' };

/**
 * A session whose holder has not been heard of for this long counts no more: its worker is dead, or frozen. Who waits may be between two
 * attempts, and keeps its place for longer.
 */
export const sessionLeaseMs = 30_000;
const waitingLeaseMs = 60_000;

/**
 * Gives the asker a session, if with all that are open and all who came before it the source is within its limit; else a place in the line,
 * which asking again keeps. Askers of one source are ordered by a lock, whatever worker they are on.
 */
export function askForSession(pool: pg.Pool, asker: SessionAsker): Promise<SessionAnswer> {
  const { source, holder, attempt, integration, maxSessions } = asker;
  return inTransaction(pool, `source/${source}`, async (client): Promise<SessionAnswer> => {
    await client.query(`select pg_advisory_xact_lock(hashtextextended('tidemark/source/' || $1, 0))`, [source]);
    await client.query(`delete from tidemark.source_session where source = $1 and expires_at < clock_timestamp() and holder <> $2`, [
      source,
      holder,
    ]);
    const { rows: own } = await client.query<{ id: string; granted: boolean }>(
      `insert into tidemark.source_session as s (source, holder, attempt, integration_id, expires_at)
       values ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 ms')
       on conflict (holder) do update set attempt = excluded.attempt, expires_at = excluded.expires_at where s.attempt <= excluded.attempt
       returning id, granted_at is not null as granted`,
      [source, holder, attempt, integration, waitingLeaseMs],
    );
    const place = own[0];
    if (place === undefined) return { kind: 'superseded' };
    const { rows } = await client.query<{ before: number }>(
      `select count(*)::int as before from tidemark.source_session where source = $1 and id <> $2 and (granted_at is not null or id < $2)`,
      [source, place.id],
    );
    const behind = (rows[0]?.before ?? 0) - maxSessions;
    if (!place.granted && behind >= 0) return { kind: 'waits', behind };
    await client.query(
      `update tidemark.source_session
          set granted_at = coalesce(granted_at, clock_timestamp()), expires_at = clock_timestamp() + $2 * interval '1 ms' where id = $1`,
      [place.id, sessionLeaseMs],
    );
    return { kind: 'granted' };
  });
}

/** Says that the session is still in use; false if it counts no more, or belongs to a later attempt. */
export async function keepSession(pool: pg.Pool, { holder, attempt }: Pick<SessionAsker, 'holder' | 'attempt'>): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update tidemark.source_session set expires_at = clock_timestamp() + $3 * interval '1 ms'
      where holder = $1 and attempt = $2 and granted_at is not null`,
    [holder, attempt, sessionLeaseMs],
  );
  return rowCount === 1;
}

/** Gives a session or a place in the line back. */
export async function giveSessionBack(pool: pg.Pool, { holder, attempt }: Pick<SessionAsker, 'holder' | 'attempt'>): Promise<void> {
  await pool.query(`delete from tidemark.source_session where holder = $1 and attempt = $2`, [holder, attempt]);
}

/** Gives back whatever a run that has ended still has. */
export async function giveSessionsOfRunBack(pool: pg.Pool, temporalRunId: string): Promise<void> {
  await pool.query(`delete from tidemark.source_session where starts_with(holder, $1 || '/')`, [temporalRunId]);
}

/** What is open and who waits at a source, of one integration. */
export interface SourceUse {
  readonly integration: string;
  readonly source: string;
  readonly open: number;
  readonly waiting: number;
}

export async function readSourceUse(pool: pg.Pool): Promise<readonly SourceUse[]> {
  const { rows } = await pool.query<SourceUse>(
    `select integration_id as integration, source, count(*) filter (where granted_at is not null)::int as open,
            count(*) filter (where granted_at is null)::int as waiting
       from tidemark.source_session where expires_at > clock_timestamp() group by integration_id, source order by 1, 2`,
  );
  return rows;
}
