import type pg from 'pg';
import { stagedTokens } from './staging.ts';
import type { LinkPhase, StagedRows } from './upsert-batch.ts';

/**
 * Stored rows are looked up by lists of keys (`= any(array(...))`): the index is passed once for a batch, in the order of the keys, and what a
 * batch costs does not depend on how much is stored.
 */
const referrers = `
  listed as materialized (
    select v.seq, v.stream, v.source_id, v.members
      from tidemark.staged_verdict v
     where v.run_id = $1 and v.token = $3 and v.links and (v.members or not $7) and v.seq > $5 and v.seq <= $6
  ), referrer as materialized (
    select o.id, o.stream, v.seq, v.members, i.link_kinds, i.links_hash
      from listed v
      join tidemark.staged_item i
        on i.run_id = $1 and i.token = any($2) and i.seq = v.seq and i.seq = any(array(select w.seq from listed w))
      join (select s.id, s.stream, s.source_id from tidemark.object s
             where s.integration_id = $4 and s.source_id = any(array(select w.source_id from listed w)) and s.deleted_at is null offset 0) o
        on o.source_id = v.source_id and o.stream = v.stream
  ), named as materialized (
    select r.id as from_id, l.kind, l.target
      from referrer r
      join tidemark.staged_link l
        on l.run_id = $1 and l.token = any($2) and l.seq = r.seq and l.seq = any(array(select w.seq from listed w)) and (l.kind = 'member') = $7
  ), desired as materialized (
    select n.from_id, n.kind, n.target, t.id as to_id
      from named n
      left join (
        select s.id, s.source_id from tidemark.object s
         where s.integration_id = $4 and s.source_id = any(array(select w.target from named w))
           and s.deleted_at is null and s.deactivated_at is null offset 0) t on t.source_id = n.target
  ), stored as materialized (
    select l.from_id, l.kind, l.to_id, r.stream
      from (select s.from_id, s.kind, s.to_id from tidemark.link s
             where s.from_id = any(array(select w.id from referrer w))
               and s.kind = any(array(select k.kind from (select distinct w.link_kinds from referrer w) d, unnest(d.link_kinds) k (kind) where (k.kind = 'member') = $7)) offset 0) l
      join referrer r on r.id = l.from_id and l.kind = any(r.link_kinds)
  ), surplus as materialized (
    select s.* from stored s
     where not exists (select 1 from desired d where d.from_id = s.from_id and d.kind = s.kind and d.to_id = s.to_id)
  )`;

function parameters(rows: StagedRows, phase: LinkPhase, after: string, upTo: string): unknown[] {
  const { plan, staged, verdictToken } = rows;
  return [plan.claim.runId, stagedTokens(staged), verdictToken, plan.claim.integration, after, upTo, phase === 'members'];
}

/** How many stored member links each stream's lists no longer hold: the removals that limits are held against. */
export async function countSurplus(client: pg.ClientBase, rows: StagedRows, upTo: string): Promise<ReadonlyMap<string, number>> {
  const { rows: counts } = await client.query<{ stream: string; links: string }>(
    `with ${referrers} select s.stream, count(*) as links from surplus s group by s.stream`,
    parameters(rows, 'members', '-1', upTo),
  );
  return new Map(counts.map((row) => [row.stream, Number(row.links)]));
}

/**
 * Makes the stored links of one batch of referrers equal to the staged lists, by set difference, for the kinds that each item gave.
 * Targets that are not stored stay as unresolved links. Links go in in the order of their key: the index then grows at its end. Removals of
 * the streams in `held` become held rows instead; an approval removes what it names and holds the rest. The links hash is written where this
 * phase finishes what it covers: nothing of it is held, and the step of the other kinds is enabled. Returns how many links were added and removed.
 */
export async function applyLinks(
  client: pg.ClientBase,
  rows: StagedRows,
  phase: LinkPhase,
  after: string,
  upTo: string,
  held: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { rowCount } = await client.query(
    `with ${referrers},
     judged as materialized (
       select s.*, case when not $10 then $8::jsonb ->> s.stream
                        when a.held_id is null then 'it is not part of the plan that was approved' end as hold
         from surplus s
         left join tidemark.decided_deletion a
           on $10 and a.run_id = $1 and a.object_id = s.from_id and a.link = s.kind and a.target_id = s.to_id
     ), removed as (
       delete from tidemark.link l
        where l.ctid = any(array(
          select f.place from judged s
           cross join lateral (
             select k.ctid as place from tidemark.link k where k.from_id = s.from_id and k.kind = s.kind and k.to_id = s.to_id offset 0) f
           where s.hold is null))
       returning l.from_id, l.kind, l.to_id
     ), added as (
       insert into tidemark.link (from_id, kind, to_id)
       select distinct d.from_id, d.kind, d.to_id from desired d
        where d.to_id is not null
          and not exists (select 1 from stored s where s.from_id = d.from_id and s.kind = d.kind and s.to_id = d.to_id)
        order by d.from_id, d.kind, d.to_id
       returning from_id, kind, to_id
     ), parked as (
       insert into tidemark.unresolved_link (from_id, kind, target, integration_id)
       select d.from_id, d.kind, d.target, $4 from desired d where d.to_id is null
       on conflict do nothing
     ), unparked as (
       delete from tidemark.unresolved_link u using referrer r
        where u.from_id = any(array(select f.id from referrer f)) and u.from_id = r.id and u.kind = any(r.link_kinds) and (u.kind = 'member') = $7
          and not exists (select 1 from desired d where d.from_id = u.from_id and d.kind = u.kind and d.target = u.target and d.to_id is null)
     ), hold as (
       insert into tidemark.held_deletion (integration_id, stream, object_id, link, target_id, reason, limit_exceeded, first_run_id, last_run_id)
       select $4, s.stream, s.from_id, s.kind, s.to_id, 'absent', s.hold, $1, $1 from judged s where s.hold is not null
       on conflict (object_id, link, target_id) do update set last_run_id = excluded.last_run_id
     ), released as (
       delete from tidemark.held_deletion h using judged s
        where h.object_id = any(array(select f.from_id from judged f)) and h.object_id = s.from_id and h.link = s.kind and h.target_id = s.to_id and s.hold is null
     ), finished as materialized (
       select r.id, r.links_hash,
              $9 and not exists (select 1 from judged s where s.from_id = r.id and s.hold is not null) as whole
         from referrer r where r.members = $7
     ), hashed_before as materialized (
       select s.object_id, s.links_hash from tidemark.links_state s where s.object_id = any(array(select f.id from finished f))
     ), rehashed as (
       update tidemark.links_state s set links_hash = f.links_hash
         from finished f
        where f.whole and s.object_id = f.id and s.links_hash <> f.links_hash and s.object_id = any(array(select b.object_id from hashed_before b))
     ), hashed as (
       insert into tidemark.links_state (object_id, links_hash)
       select f.id, f.links_hash from finished f
        where f.whole and not exists (select 1 from hashed_before b where b.object_id = f.id) order by f.id
     ), unhashed as (
       delete from tidemark.links_state s where s.object_id = any(array(select f.id from finished f where not f.whole))
     ), counted as (
       insert into tidemark.run_count (run_id, kind, changes)
       select $1::bigint, c.kind, c.changes
         from (select 'link-added' as kind, count(*) as changes from added union all select 'link-removed', count(*) from removed) c
        where c.changes > 0
     )
     insert into tidemark.change (run_id, object_id, kind, link, target_id)
     select $1, a.from_id, 'link-added', a.kind, a.to_id from added a
      union all
     select $1, d.from_id, 'link-removed', d.kind, d.to_id from removed d`,
    [
      ...parameters(rows, phase, after, upTo),
      JSON.stringify(held),
      rows.plan.steps.upsert,
      phase === 'members' && rows.plan.approval !== undefined,
    ],
  );
  return rowCount ?? 0;
}

/** Stored member links of a stream's objects: what percentages are of. Counts no further than `enough`. */
export async function countMembers(client: pg.ClientBase, integration: string, stream: string, enough: number): Promise<number> {
  const { rows } = await client.query<{ links: string }>(
    `select count(*) as links
       from (select from (select o.id from tidemark.object o
                           where o.integration_id = $1 and o.stream = $2 and o.deleted_at is null order by o.source_id offset 0) o
              cross join lateral (select from tidemark.link s where s.from_id = o.id and s.kind = 'member' offset 0) l
              limit $3) m`,
    [integration, stream, Number.isFinite(enough) ? enough : null],
  );
  return Number(rows[0]?.links ?? 0);
}
