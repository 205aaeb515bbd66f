import type { RunSummary } from '../model/run.ts';
import type { Store } from './store.ts';

/** A run as the history lists it: with what it dealt with, and how long it took beside those before it. */
export interface ListedRun extends RunSummary {
  /** From its start to its end, or to now; null for a request that was skipped. */
  readonly durationMs: number | null;
  readonly items: {
    /** Objects and news of objects that the source gave. */
    readonly processed: number;
    readonly succeeded: number;
    /** Quarantined. */
    readonly failed: number;
  };
  /** The runs of the same integration and mode that succeeded before it; null where there are none. */
  readonly trend: {
    /** How many are compared, at most 20. */
    readonly runs: number;
    readonly medianMs: number;
    /** This run's duration over the median. */
    readonly ratio: number;
  } | null;
}

/** Runs that one is compared with. */
const comparedRuns = 20;

/** Puts each run beside the last ones of its integration and mode, dry or not, that succeeded before it. */
export async function withTrends(store: Store, runs: readonly RunSummary[], now = Date.now()): Promise<readonly ListedRun[]> {
  const { rows } = await store.pool.query<{ id: string; runs: number; median: number | null }>(
    `select r.id, count(p.ms)::int as runs, percentile_cont(0.5) within group (order by p.ms) as median
       from tidemark.sync_run r
       cross join lateral (
         select extract(epoch from b.finished_at - b.started_at)::float8 * 1000 as ms from tidemark.sync_run b
          where b.integration_id = r.integration_id and b.id < r.id and b.mode = r.mode and b.dry_run = r.dry_run and b.outcome = 'succeeded'
          order by b.id desc limit ${comparedRuns}) p
      where r.id = any($1::bigint[]) group by r.id`,
    [runs.map(({ id }) => id)],
  );
  const medians = new Map(rows.map((row) => [row.id, row]));
  return runs.map((run) => {
    const began = run.outcome !== 'skipped' && run.mode !== null;
    const durationMs = began ? (run.finishedAt === null ? now : Date.parse(run.finishedAt)) - Date.parse(run.startedAt) : null;
    const totals = Object.values(run.streams);
    const processed = totals.reduce((sum, { read }) => sum + read, 0);
    const failed = totals.reduce((sum, { quarantined }) => sum + quarantined, 0);
    const before = medians.get(run.id);
    return {
      ...run,
      durationMs,
      items: { processed, succeeded: Math.max(0, processed - failed), failed },
      trend:
        durationMs === null || before?.median == null
          ? null
          : {
              runs: before.runs,
              medianMs: Math.round(before.median),
              ratio: Math.round((durationMs / Math.max(1, before.median)) * 100) / 100,
            },
    };
  });
}
