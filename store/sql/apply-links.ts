import type pg from 'pg';
import { stagedTokens } from './staging.ts';
import type { StagedRows } from './upsert-batch.ts';

/** Member links are applied by the membership step, all others by upsert. */
export type LinkPhase = 'members' | 'others';

const referrers = `
  referrer as materialized (
    select o.id, o.stream, v.seq, i.link_kinds, i.links_hash
      from tidemark.staged_verdict v
      join tidemark.staged_item i on i.run_id = $1 and i.token = any($2) and i.seq = v.seq
      join tidemark.object o on o.integration_id = $4 and o.stream = v.stream and o.source_id = v.source_id and o.deleted_at is null
     where v.run_id = $1 and v.token = $3 and v.links and v.seq > $5 and v.seq <= $6
  ), desired as materialized (
    select r.id as from_id, l.kind, l.target, t.id as to_id
      from referrer r
      join tidemark.staged_link l on l.run_id = $1 and l.token = any($2) and l.seq = r.seq and (l.kind = 'member') = $7
      left join tidemark.object t on t.integration_id = $4 and t.source_id = l.target and t.deleted_at is null and t.deactivated_at is null
  ), surplus as materialized (
    select l.from_id, l.kind, l.to_id, r.stream
      from referrer r
      join tidemark.link l on l.from_id = r.id and l.kind = any(r.link_kinds) and (l.kind = 'member') = $7
     where not exists (select 1 from desired d where d.from_id = l.from_id and d.kind = l.kind and d.to_id = l.to_id)
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
 * Targets that are not stored stay as unresolved links. Links go in in the order of their key: the index then grows at its end. Removals of the streams in `held` become held rows instead. `links_hash` is
 * written where this phase finishes what the hash covers: nothing of it is held, and the step of the other kinds is enabled.
 * Returns how many links were added and removed.
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
     removed as (
       delete from tidemark.link l using surplus s
        where l.from_id = s.from_id and l.kind = s.kind and l.to_id = s.to_id and not $8::jsonb ? s.stream
       returning l.from_id, l.kind, l.to_id
     ), added as (
       insert into tidemark.link (from_id, kind, to_id)
       select d.from_id, d.kind, d.to_id from desired d where d.to_id is not null order by d.from_id, d.kind, d.to_id
       on conflict do nothing
       returning from_id, kind, to_id
     ), parked as (
       insert into tidemark.unresolved_link (from_id, kind, target, integration_id)
       select d.from_id, d.kind, d.target, $4 from desired d where d.to_id is null
       on conflict do nothing
     ), unparked as (
       delete from tidemark.unresolved_link u using referrer r
        where u.from_id = r.id and u.kind = any(r.link_kinds) and (u.kind = 'member') = $7
          and not exists (select 1 from desired d where d.from_id = u.from_id and d.kind = u.kind and d.target = u.target and d.to_id is null)
     ), hold as (
       insert into tidemark.held_deletion (integration_id, stream, object_id, link, target_id, reason, limit_exceeded, first_run_id, last_run_id)
       select $4, s.stream, s.from_id, s.kind, s.to_id, 'absent', $8::jsonb ->> s.stream, $1, $1 from surplus s where $8::jsonb ? s.stream
       on conflict (object_id, link, target_id) do update set last_run_id = excluded.last_run_id
     ), released as (
       delete from tidemark.held_deletion h using surplus s
        where h.object_id = s.from_id and h.link = s.kind and h.target_id = s.to_id and not $8::jsonb ? s.stream
     ), finished as (
       update tidemark.object o set links_hash = case when blocked.is or not $9 then null else r.links_hash end
         from referrer r
         cross join lateral (
           select exists (select 1 from surplus s where s.from_id = r.id and $8::jsonb ? s.stream) as is) blocked
        where o.id = r.id and ('member' = any(r.link_kinds)) = $7
     )
     insert into tidemark.change (run_id, object_id, kind, link, target_id)
     select $1, a.from_id, 'link-added', a.kind, a.to_id from added a
      union all
     select $1, d.from_id, 'link-removed', d.kind, d.to_id from removed d`,
    [...parameters(rows, phase, after, upTo), JSON.stringify(held), rows.plan.steps.upsert],
  );
  return rowCount ?? 0;
}

/**
 * Links whose target has just arrived: where the referrer was read in this run and found unchanged, what was unresolved is resolved.
 * Referrers that were not read are never linked blindly; the re-read step has read them.
 */
export async function resolveArrivals(client: pg.ClientBase, rows: StagedRows, phase: LinkPhase): Promise<void> {
  const { plan, staged, verdictToken } = rows;
  await client.query(
    `with arrived as (
       select o.id, o.source_id
         from tidemark.staged_verdict v
         join tidemark.object o on o.integration_id = $4 and o.stream = v.stream and o.source_id = v.source_id and o.deleted_at is null
        where v.run_id = $1 and v.token = $3 and v.verdict in ('new', 'restored')
     ), ready as (
       select u.from_id, u.kind, u.target, a.id as to_id
         from arrived a
         join tidemark.unresolved_link u on u.integration_id = $4 and u.target = a.source_id and (u.kind = 'member') = $5
         join tidemark.object f on f.id = u.from_id and f.deleted_at is null
        where exists (select 1 from tidemark.staged_item s
                       where s.run_id = $1 and s.token = any($2) and s.stream = f.stream and s.source_id = f.source_id
                         and s.kind in ('object', 'present'))
     ), resolved as (
       delete from tidemark.unresolved_link u using ready r where u.from_id = r.from_id and u.kind = r.kind and u.target = r.target
     ), added as (
       insert into tidemark.link (from_id, kind, to_id) select r.from_id, r.kind, r.to_id from ready r
       on conflict do nothing
       returning from_id, kind, to_id
     )
     insert into tidemark.change (run_id, object_id, kind, link, target_id)
     select $1, a.from_id, 'link-added', a.kind, a.to_id from added a`,
    [plan.claim.runId, stagedTokens(staged), verdictToken, plan.claim.integration, phase === 'members'],
  );
}

/** Stored member links of a stream's active objects: what percentages are of. */
export async function countMembers(client: pg.ClientBase, integration: string, stream: string): Promise<number> {
  const { rows } = await client.query<{ links: string }>(
    `select count(*) as links from tidemark.link l join tidemark.object o on o.id = l.from_id
      where o.integration_id = $1 and o.stream = $2 and l.kind = 'member' and o.deleted_at is null`,
    [integration, stream],
  );
  return Number(rows[0]?.links ?? 0);
}
