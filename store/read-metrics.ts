import type { IntegrationConfig, Subject } from '../model/config/types.ts';
import { completeDue } from '../model/schedules.ts';
import { readSourceUse, type SourceUse } from './source-sessions.ts';
import type { Store } from './store.ts';

/** What metrics tell of the integrations in force. All of it is kept by the database: every worker says the same. */
export interface StoredMetrics {
  readonly streams: readonly StreamState[];
  /** Integrations with a run at work, and for how long. */
  readonly openRuns: readonly { readonly integration: string; readonly seconds: number; readonly launcher: string | null }[];
  readonly sourceUse: readonly SourceUse[];
  /** Limits of the sources that integrations name. */
  readonly sourceLimits: Readonly<Record<string, number>>;
  /** Sums over all runs; those that are zero are left out. */
  readonly totals: readonly Total[];
}

export interface StreamState {
  readonly integration: string;
  readonly stream: string;
  /** Null if the stream has no marker. */
  readonly markerAgeSeconds: number | null;
  /** Since the last complete read began; null if there was none. */
  readonly completeAgeSeconds: number | null;
  /** How long ago its schedules should have had it read completely, 0 if that is yet to come; null if no schedule reads it completely. */
  readonly completeOverdueSeconds: number | null;
  readonly held: number;
  readonly quarantined: number;
}

/** `what` and `label` are those of the table `run_total`. */
export interface Total {
  readonly integration: string;
  readonly what: string;
  readonly label: string;
  readonly value: number;
}

interface IntegrationRow {
  readonly id: string;
  readonly config_id: string;
  readonly created_at: Date;
  readonly now: Date;
}

interface MarkerRow {
  readonly integration: string;
  readonly stream: string;
  readonly taken_at: Date;
  readonly complete_at: Date;
}

interface CountRow {
  readonly integration: string;
  readonly stream: string;
  readonly count: number;
}

/** Reads small tables and indexes only: never objects, links, changes or the history of runs. */
export async function readMetrics(
  store: Store,
  configuration: (configId: string) => Promise<Subject & Pick<IntegrationConfig, 'source'>>,
): Promise<StoredMetrics> {
  const { pool } = store;
  const { rows: integrations } = await pool.query<IntegrationRow>(
    `select id, config_id, created_at, now() from tidemark.integration where removed_at is null and config_id is not null order by id`,
  );
  const { rows: markers } = await pool.query<MarkerRow>(
    `select integration_id as integration, stream, taken_at, complete_at from tidemark.marker`,
  );
  const held = await countByStream(store, 'held_deletion');
  const quarantined = await countByStream(store, 'quarantine');
  const { rows: openRuns } = await pool.query<StoredMetrics['openRuns'][number]>(
    `select integration_id as integration, extract(epoch from now() - started_at)::float8 as seconds, launcher_id as launcher
       from tidemark.sync_run where outcome = 'running' order by integration_id, id`,
  );
  const { rows: totals } = await pool.query<Total>(
    `select integration_id as integration, what, label, value::float8 as value from tidemark.run_total order by integration_id, what, label`,
  );
  const markerOf = new Map(markers.map((marker) => [`${marker.integration} ${marker.stream}`, marker]));
  const streams: StreamState[] = [];
  const sourceLimits: Record<string, number> = {};
  for (const { id: integration, config_id, created_at, now } of integrations) {
    const config = await configuration(config_id);
    if (config.source) sourceLimits[config.source.name] = config.source.maxSessions;
    for (const stream of Object.keys(config.streams)) {
      const name = `${integration} ${stream}`;
      const marker = markerOf.get(name);
      const due = completeDue(config.schedules, stream, marker?.complete_at ?? created_at);
      streams.push({
        integration,
        stream,
        markerAgeSeconds: marker === undefined ? null : secondsSince(marker.taken_at, now),
        completeAgeSeconds: marker === undefined ? null : secondsSince(marker.complete_at, now),
        completeOverdueSeconds: due === undefined ? null : secondsSince(due, now),
        held: held.get(name) ?? 0,
        quarantined: quarantined.get(name) ?? 0,
      });
    }
  }
  const known = new Set(integrations.map(({ id }) => id));
  return {
    streams,
    sourceUse: await readSourceUse(pool),
    sourceLimits,
    openRuns: openRuns.filter(({ integration }) => known.has(integration)),
    totals: totals.filter(({ integration }) => known.has(integration)),
  };
}

async function countByStream({ pool }: Store, table: 'held_deletion' | 'quarantine'): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool.query<CountRow>(
    `select integration_id as integration, stream, count(*)::int as count from tidemark.${table} group by integration_id, stream`,
  );
  return new Map(rows.map(({ integration, stream, count }) => [`${integration} ${stream}`, count]));
}

function secondsSince(then: Date, now: Date): number {
  return Math.max(0, (now.getTime() - then.getTime()) / 1_000);
}
