import type { StoredMetrics, StreamState } from '../store/read-metrics.ts';
import type { Metric, Sample } from './exposition.ts';

const outcomes = ['succeeded', 'failed', 'skipped', 'cancelled'] as const;
const changes = ['created', 'updated', 'deleted', 'deactivated', 'restored'] as const;

/** What a worker could find out; undefined where PostgreSQL or Temporal did not answer. */
export interface Findings {
  readonly stored: StoredMetrics | undefined;
  /** Open requests that no run is at work for, by integration. */
  readonly waiting: ReadonlyMap<string, number> | undefined;
}

/** Every metric of Tidemark's own; those that nothing is known of are left out. */
export function ownMetrics({ stored, waiting }: Findings): readonly Metric[] {
  return [
    ...processMetrics(),
    single('tidemark_store_up', 'Whether PostgreSQL answered.', 'gauge', stored === undefined ? 0 : 1),
    single('tidemark_temporal_up', 'Whether Temporal answered.', 'gauge', waiting === undefined ? 0 : 1),
    ...(stored === undefined ? [] : storeMetrics(stored)),
    ...(stored === undefined || waiting === undefined ? [] : [waitingRequests(stored, waiting)]),
  ];
}

/**
 * What the database says of the integrations. Counters that an alert may ask to have grown are there from the start, as zero: Prometheus
 * takes no growth from a series that appears.
 */
function storeMetrics({ streams, openRuns, totals, sourceUse, sourceLimits }: StoredMetrics): readonly Metric[] {
  const total = new Map(totals.map(({ integration, what, label, value }) => [`${integration} ${what} ${label}`, value]));
  const totalOf = (integration: string, what: string, label: string) => total.get(`${integration} ${what} ${label}`) ?? 0;
  const integrations = [...new Set(streams.map(({ integration }) => integration))];
  const gauge = (name: string, help: string, of: (state: StreamState) => number | null): Metric => ({
    name,
    help,
    type: 'gauge',
    samples: streams.flatMap((state): readonly Sample[] => {
      const value = of(state);
      return value === null ? [] : [{ labels: { integration: state.integration, stream: state.stream }, value }];
    }),
  });
  const perStream = (name: string, help: string, what: string): Metric => ({
    name,
    help,
    type: 'counter',
    samples: streams.map(({ integration, stream }) => ({ labels: { integration, stream }, value: totalOf(integration, what, stream) })),
  });
  return [
    gauge('tidemark_marker_age_seconds', 'How old the position is up to which the stream is known.', (state) => state.markerAgeSeconds),
    gauge('tidemark_complete_age_seconds', 'Time since the last complete read of the stream began.', (state) => state.completeAgeSeconds),
    gauge(
      'tidemark_complete_overdue_seconds',
      'How long ago the schedules should have had the stream read completely; 0 in time.',
      (state) => state.completeOverdueSeconds,
    ),
    gauge('tidemark_held_deletions', 'Deletions that wait for a decision.', (state) => state.held),
    gauge('tidemark_quarantined', 'Records that are set aside.', (state) => state.quarantined),
    perStream('tidemark_drift_objects_total', 'Objects that deltas had missed and a complete read has repaired.', 'drift'),
    {
      name: 'tidemark_source_sessions',
      help: 'Sessions with a source that has a limit: open, and waited for.',
      type: 'gauge',
      samples: Object.keys(sourceLimits).flatMap((source) =>
        (['open', 'waiting'] as const).map((state) => ({
          labels: { source, state },
          value: sourceUse.reduce((sum, use) => sum + (use.source === source ? use[state] : 0), 0),
        })),
      ),
    },
    {
      name: 'tidemark_source_sessions_limit',
      help: 'Sessions that a source may have open.',
      type: 'gauge',
      samples: Object.entries(sourceLimits).map(([source, value]) => ({ labels: { source }, value })),
    },
    {
      name: 'tidemark_run_open_seconds',
      help: 'How long the run at work has been.',
      type: 'gauge',
      samples: openRuns.map(({ integration, seconds }) => ({ labels: { integration }, value: seconds })),
    },
    {
      name: 'tidemark_runs_total',
      help: 'Requests by how they ended; dry runs are not counted.',
      type: 'counter',
      samples: integrations.flatMap((integration) =>
        outcomes.map((outcome) => ({ labels: { integration, outcome }, value: totalOf(integration, 'runs', outcome) })),
      ),
    },
    {
      name: 'tidemark_run_duration_seconds',
      help: 'Duration of runs that succeeded, by the mode they had.',
      type: 'summary',
      samples: integrations.flatMap((integration) =>
        ['complete', 'delta'].flatMap((mode) => [
          { suffix: '_sum', labels: { integration, mode }, value: totalOf(integration, 'ms', mode) / 1_000 },
          { suffix: '_count', labels: { integration, mode }, value: totalOf(integration, 'timed', mode) },
        ]),
      ),
    },
    perStream('tidemark_objects_read_total', 'Objects and news of objects that the source gave, in runs that succeeded.', 'read'),
    {
      name: 'tidemark_objects_changed_total',
      help: 'Objects that runs which succeeded have changed.',
      type: 'counter',
      samples: streams.flatMap(({ integration, stream }) =>
        changes.map((change) => ({ labels: { integration, stream, change }, value: totalOf(integration, change, stream) })),
      ),
    },
    {
      name: 'tidemark_links_changed_total',
      help: 'Links that runs which succeeded have added or removed.',
      type: 'counter',
      samples: integrations.flatMap((integration) =>
        ['added', 'removed'].map((change) => ({ labels: { integration, change }, value: totalOf(integration, 'links', change) })),
      ),
    },
  ];
}

function waitingRequests(stored: StoredMetrics, waiting: ReadonlyMap<string, number>): Metric {
  const integrations = new Set(stored.streams.map(({ integration }) => integration));
  return {
    name: 'tidemark_requests_waiting',
    help: 'Requests that wait for their turn, or for a worker.',
    type: 'gauge',
    samples: [...integrations].map((integration) => ({ labels: { integration }, value: waiting.get(integration) ?? 0 })),
  };
}

/** The process itself, by the names that client libraries of Prometheus use. */
function processMetrics(): readonly Metric[] {
  const { user, system } = process.cpuUsage();
  return [
    single('process_resident_memory_bytes', 'Resident memory.', 'gauge', process.memoryUsage.rss()),
    single('process_cpu_seconds_total', 'Processor time.', 'counter', (user + system) / 1e6),
    single('process_start_time_seconds', 'Start of the process, Unix time.', 'gauge', Math.round(Date.now() / 1_000 - process.uptime())),
  ];
}

function single(name: string, help: string, type: Metric['type'], value: number): Metric {
  return { name, help, type, samples: [{ value }] };
}
