import type pg from 'pg';

export interface RunRetention {
  /** Runs that ended longer ago may go ... */
  readonly runsMs: number;
  /** ... but the newest of each integration stay. */
  readonly keepRuns: number;
}

/**
 * Removes up to `batchSize` runs of an integration that ended before the retention. The newest `keepRuns` stay, the last that succeeded
 * and the last that was complete, and every run that something stored refers to: markers, held deletions, quarantine, the change feed,
 * staging, a claim. Returns how many went.
 */
export async function removeRuns(pool: pg.Pool, integration: string, retention: RunRetention, batchSize: number): Promise<number> {
  const { rowCount } = await pool.query(
    `with bounds as materialized (
       select (select min(n.id) from (select r.id from tidemark.sync_run r where r.integration_id = $1 order by r.id desc limit $3) n) as newest,
              (select max(r.id) from tidemark.sync_run r where r.integration_id = $1 and r.outcome = 'succeeded') as succeeded,
              (select max(r.id) from tidemark.sync_run r where r.integration_id = $1 and r.outcome = 'succeeded' and r.mode = 'complete') as complete
     )
     delete from tidemark.sync_run r
      where r.id = any(array(
        select s.id from tidemark.sync_run s cross join bounds b
         where s.integration_id = $1 and s.id < b.newest and s.outcome <> 'running'
           and s.finished_at < now() - $2 * interval '1 millisecond'
           and s.id is distinct from b.succeeded and s.id is distinct from b.complete
           and not exists (select 1 from tidemark.marker m where m.run_id = s.id)
           and not exists (select 1 from tidemark.held_deletion h where s.id in (h.first_run_id, h.last_run_id))
           and not exists (select 1 from tidemark.quarantine q where s.id in (q.first_run_id, q.last_run_id))
           and not exists (select 1 from tidemark.feed_entry e cross join tidemark.feed f
                            where e.run_id = s.id and e.position >= f.oldest_position)
           and not exists (select 1 from tidemark.change c where c.run_id = s.id)
           and not exists (select 1 from tidemark.staged_attempt a where a.run_id = s.id)
           and not exists (select 1 from tidemark.integration i where i.claimed_run = s.id)
         order by s.id limit $4))
        and r.outcome <> 'running'`,
    [integration, retention.runsMs, retention.keepRuns, batchSize],
  );
  return rowCount ?? 0;
}
