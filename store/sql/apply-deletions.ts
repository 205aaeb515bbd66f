import type pg from 'pg';
import type { StagedRows } from './upsert-batch.ts';

/** The verdicts that take an object away; `unknown` is always held. */
export interface DeletionCounts {
  readonly stream: string;
  readonly candidates: number;
  /** Why absent objects were not read again by id, and are therefore not believed; null if there are none. */
  readonly unread: string | null;
}

/** Size of each stream's deletion plan. */
export async function countDeletions(client: pg.ClientBase, rows: StagedRows): Promise<readonly DeletionCounts[]> {
  const { rows: counts } = await client.query<{ stream: string; candidates: string; unread: string | null }>(
    `select v.stream, count(*) filter (where v.verdict <> 'unknown') as candidates, max(v.reason) filter (where v.verdict = 'absent') as unread
       from tidemark.staged_verdict v
      where v.run_id = $1 and v.token = $2 and v.verdict in ('gone', 'absent', 'out-of-scope', 'unknown')
      group by v.stream`,
    [rows.plan.claim.runId, rows.verdictToken],
  );
  return counts.map((row) => ({ stream: row.stream, candidates: Number(row.candidates), unread: row.unread }));
}

/** Holds the plan of the streams in `held` (stream to the limit that it exceeds) and every object whose re-read gave no answer. */
export async function holdDeletions(client: pg.ClientBase, rows: StagedRows, held: Readonly<Record<string, string>>): Promise<void> {
  await client.query(
    `with candidate as (
       select v.object_id, v.stream, v.verdict, v.reason
         from tidemark.staged_verdict v
        where v.run_id = $1 and v.token = $2
          and (v.verdict = 'unknown' or v.verdict in ('gone', 'absent', 'out-of-scope') and $4::jsonb ? v.stream)
     ), unhashed as (
       update tidemark.object o set source_hash = null where o.id = any(array(select c.object_id from candidate c))
     )
     insert into tidemark.held_deletion (integration_id, stream, object_id, reason, limit_exceeded, first_run_id, last_run_id)
     select $3, c.stream, c.object_id, c.verdict, coalesce($4::jsonb ->> c.stream, c.reason, 'the source gave no answer when it was asked again'), $1, $1
       from candidate c
     on conflict (object_id, link, target_id) do update set last_run_id = excluded.last_run_id, reason = excluded.reason`,
    [rows.plan.claim.runId, rows.verdictToken, rows.plan.claim.integration, JSON.stringify(held)],
  );
}

/**
 * Applies the plan of all streams but the held ones: marks objects deleted, or deactivates them, removes their links, and parks links to
 * them as unresolved with the referrers' links hash dropped, so that a return is never linked blindly.
 */
export async function applyDeletions(
  client: pg.ClientBase,
  rows: StagedRows,
  action: 'delete' | 'deactivate',
  held: Readonly<Record<string, string>>,
): Promise<number> {
  const { rowCount } = await client.query(
    `with doomed as materialized (
       select o.id, o.source_id, v.stream, v.verdict, o.attributes, v.seq
         from tidemark.staged_verdict v
         cross join lateral (select s.* from tidemark.object s where s.id = v.object_id offset 0) o
        where v.run_id = $1 and v.token = $2 and v.verdict in ('gone', 'absent', 'out-of-scope') and not $5::jsonb ? v.stream
          and o.deleted_at is null and (o.deactivated_at is null or $4 = 'delete')
     ), marked as (
       update tidemark.object o
          set deleted_at = case when $4 = 'delete' then now() end,
              deleted_reason = case when $4 = 'delete' then d.verdict end,
              deactivated_at = case when $4 = 'deactivate' then now() end,
              attributes = case when $4 = 'deactivate' then o.attributes || '{"active": false}' else o.attributes end,
              source_hash = null, updated_at = now()
         from doomed d where o.id = d.id and o.id = any(array(select f.id from doomed f))
     ), cut as (
       delete from tidemark.link l
        where l.ctid = any(array(
          select f.place from doomed d cross join lateral (select s.ctid as place from tidemark.link s where s.from_id = d.id offset 0) f
           union
          select t.place from doomed d cross join lateral (select s.ctid as place from tidemark.link s where s.to_id = d.id offset 0) t))
       returning l.from_id, l.kind, l.to_id
     ), incoming as materialized (
       select distinct c.from_id, c.kind, c.to_id, d.source_id as target
         from cut c join doomed d on d.id = c.to_id
        where not exists (select 1 from doomed f where f.id = c.from_id)
     ), parked as (
       insert into tidemark.unresolved_link (from_id, kind, target, integration_id)
       select i.from_id, i.kind, i.target, $3 from incoming i
       on conflict do nothing
     ), forgotten as (
       delete from tidemark.unresolved_link u where u.from_id = any(array(select d.id from doomed d))
     ), unhashed as (
       delete from tidemark.links_state s
        where s.object_id = any(array(select d.id from doomed d union select i.from_id from incoming i))
     ), released as (
       delete from tidemark.held_deletion h
        where h.integration_id = $3 and (h.object_id = any(array(select d.id from doomed d)) or h.target_id = any(array(select d.id from doomed d)))
     ), counted as (
       insert into tidemark.run_count (run_id, stream, kind, changes)
       select $1::bigint, d.stream, case when $4 = 'delete' then 'deleted' else 'deactivated' end, count(*) from doomed d group by d.stream
        union all
       select $1, null, 'link-removed', count(*) from cut having count(*) > 0
     ), cut_changes as (
       insert into tidemark.change (run_id, object_id, kind, link, target_id)
       select $1::bigint, c.from_id, 'link-removed', c.kind, c.to_id from cut c
     )
     insert into tidemark.change (run_id, object_id, kind, before, after)
     select $1, d.id, case when $4 = 'delete' then 'deleted' else 'deactivated' end,
            jsonb_build_object('attributes', d.attributes), jsonb_build_object('reason', d.verdict)
       from doomed d order by d.seq`,
    [rows.plan.claim.runId, rows.verdictToken, rows.plan.claim.integration, action, JSON.stringify(held)],
  );
  return rowCount ?? 0;
}
