import type pg from 'pg';
import { seen, stagedTokens } from './staging.ts';
import type { LinkPhase, StagedRows } from './upsert-batch.ts';

/** The stored object of an arrival `r`, if it is still there, as `o`. */
const arrived = `
  cross join lateral (
    select s.id, s.source_id from tidemark.object s
     where s.id = r.object_id and s.deleted_at is null and s.deactivated_at is null offset 0) o`;

/** An unresolved link that names `o`, and the active object `f` that it comes from. */
const awaiting = (integration: string) => `
  cross join lateral (
    select s.ctid as place, s.from_id, s.kind from tidemark.unresolved_link s
     where s.integration_id = ${integration} and s.target = o.source_id offset 0) u
  cross join lateral (
    select s.stream, s.source_id from tidemark.object s
     where s.id = u.from_id and s.deleted_at is null and s.deactivated_at is null offset 0) f`;

/** Notes those of the objects in `came` (id, source_id) that stored links have been waiting for. */
export const noteArrivals = (integration: string) => `
  insert into tidemark.arrival (object_id, integration_id)
  select c.id, ${integration}
    from came c
   where c.source_id in (
     select s.target from tidemark.unresolved_link s
      where s.integration_id = ${integration} and s.target = any(array(select w.source_id from came w)) offset 0)
  on conflict do nothing`;

/** Whether an earlier run has left links of objects of these streams to an arrival unsettled. */
export async function arrivalsPending(pool: pg.Pool, integration: string, streams: readonly string[]): Promise<boolean> {
  const { rows } = await pool.query<{ pending: boolean }>(
    `select exists (select 1 from tidemark.arrival r ${arrived} ${awaiting('$1')} where r.integration_id = $1 and f.stream = any($2)) as pending`,
    [integration, streams],
  );
  return rows[0]?.pending ?? false;
}

/**
 * Resolves the links to arrivals whose referrer was read in this run and found unchanged. Referrers that were not read are never linked
 * blindly, nor are those that are set aside; they stay for the run that reads them.
 */
export async function resolveArrivals(client: pg.ClientBase, rows: StagedRows, phase: LinkPhase): Promise<void> {
  const { plan, staged, verdictToken } = rows;
  await client.query(
    `with ready as materialized (
       select distinct u.place, u.from_id, u.kind, o.id as to_id
         from tidemark.arrival r ${arrived} ${awaiting('$4')}
         left join (${seen('$1', '$2')}) k on k.id = u.from_id
         left join (
           select s.stream, s.source_id from tidemark.staged_item s
            where s.run_id = $1 and s.token = any($2) and s.kind in ('object', 'created')) i on i.stream = f.stream and i.source_id = f.source_id
        where r.integration_id = $4 and (u.kind = 'member') = $5 and (k.id is not null or i.source_id is not null)
          and not exists (select 1 from tidemark.staged_verdict v
                           where v.run_id = $1 and v.token = $3 and v.stream = f.stream and v.source_id = f.source_id
                             and v.verdict = 'quarantined')
     ), resolved as (
       delete from tidemark.unresolved_link u where u.ctid = any(array(select r.place from ready r))
     ), added as (
       insert into tidemark.link (from_id, kind, to_id) select r.from_id, r.kind, r.to_id from ready r
       on conflict do nothing
       returning from_id, kind, to_id
     ), counted as (
       insert into tidemark.run_count (run_id, kind, changes) select $1::bigint, 'link-added', count(*) from added having count(*) > 0
     )
     insert into tidemark.change (run_id, object_id, kind, link, target_id)
     select $1, a.from_id, 'link-added', a.kind, a.to_id from added a`,
    [plan.claim.runId, stagedTokens(staged), verdictToken, plan.claim.integration, phase === 'members'],
  );
}

/** Forgets the arrivals that no active object's unresolved link names any more, and those that have gone again. */
export async function settleArrivals(client: pg.ClientBase, integration: string): Promise<void> {
  await client.query(
    `delete from tidemark.arrival a where a.object_id = any(array(
       select r.object_id from tidemark.arrival r where r.integration_id = $1
       except
       select r.object_id from tidemark.arrival r ${arrived} ${awaiting('$1')} where r.integration_id = $1))`,
    [integration],
  );
}
