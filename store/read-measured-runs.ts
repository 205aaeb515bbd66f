import type { MeasuredRuns } from '../model/spacing.ts';
import type { Store } from './store.ts';

/** Runs that a median is made of. */
const measuredRuns = 20;

/** How long an integration's runs take, and how many of its deltas were skipped lately. */
export async function readMeasuredRuns({ pool }: Store, integration: string): Promise<MeasuredRuns> {
  const { rows: medians } = await pool.query<{ mode: 'complete' | 'delta'; ms: number | null }>(
    `select m.mode, percentile_cont(0.5) within group (order by r.ms) as ms
       from unnest(array['complete', 'delta']) as m (mode)
       cross join lateral (
         select extract(epoch from b.finished_at - b.started_at)::float8 * 1000 as ms from tidemark.sync_run b
          where b.integration_id = $1 and b.mode = m.mode and b.outcome = 'succeeded' and not b.dry_run
          order by b.id desc limit ${measuredRuns}) r
      group by m.mode`,
    [integration],
  );
  const { rows: counts } = await pool.query<{ requests: number; skipped: number }>(
    `select count(*)::int as requests, count(*) filter (where outcome = 'skipped' and reason like '%was running')::int as skipped
       from tidemark.sync_run
      where integration_id = $1 and finished_at > now() - interval '7 days' and requested_mode in ('delta', 'auto') and not dry_run`,
    [integration],
  );
  const median = (mode: string) => medians.find((row) => row.mode === mode)?.ms ?? null;
  return { completeMs: median('complete'), deltaMs: median('delta'), requests: counts[0]?.requests ?? 0, skipped: counts[0]?.skipped ?? 0 };
}
