import type pg from 'pg';
import { createdWhileRead, listedStreams, type RunPlan, type Staged } from '../../model/run.ts';
import { seen, stagedTokens } from './staging.ts';

/** Ids of one stream to read again, with why: `absent` from a sealed listing, `unmatched` by a delta's filter, `referrer` of an object that has arrived. */
export interface RereadCandidates {
  readonly stream: string;
  readonly absent: readonly string[];
  readonly unmatched: readonly string[];
  readonly referrers: readonly string[];
}

/**
 * Finds what must be read again by id before it is believed.
 * - Streams that were listed: stored and not listed. `action` decides whether objects that cleanup deactivated are candidates.
 * - Delta streams: changed, known, and not returned by the filtered read.
 * - Referrers: an object that arrives (new, restored, or gone and returned) may be the target of links that a source changes without
 *   telling: Active Directory drops memberships of a deleted user and does not touch the group's uSNChanged. So may one that arrived with an
 *   earlier run, which did not come to its links; and a quarantined item that is tried again may arrive too.
 */
export async function rereadCandidates(
  client: pg.ClientBase,
  plan: RunPlan,
  staged: readonly Staged[],
  action: 'delete' | 'deactivate',
): Promise<readonly RereadCandidates[]> {
  const parameters = [plan.claim.runId, stagedTokens(staged), plan.claim.integration];
  const listed = listedStreams(plan, staged);
  if (plan.creates && listed.length === plan.streams.length && (await isAllCreatedHere(client, plan, staged))) {
    return plan.streams.map(({ stream }) => ({ stream, absent: [], unmatched: [], referrers: [] }));
  }
  const absent =
    listed.length === 0
      ? nothing
      : await client.query<Row>(
          `select o.stream, o.source_id
       from tidemark.object o
      where o.integration_id = $3 and o.stream = any($4) and o.deleted_at is null and (o.deactivated_at is null or $5 = 'delete')
        and not exists (select 1 from (${seen('$1', '$2')}) k where k.id = o.id)
        and not exists (select 1 from tidemark.staged_item s
                         where s.run_id = $1 and s.token = any($2) and s.stream = o.stream and s.source_id = o.source_id
                           and s.kind <> 'stored')`,
          [...parameters, listed, action],
        );
  const unmatched =
    listed.length === plan.streams.length
      ? nothing
      : await client.query<Row>(
          `select w.stream, w.source_id
       from (select distinct on (s.stream, s.source_id) s.stream, s.source_id, s.kind, s.seq
               from tidemark.staged_item s where s.run_id = $1 and s.token = any($2)
              order by s.stream, s.source_id, s.seq desc) w
       left join lateral (
         select s.id from tidemark.object s
          where s.integration_id = $3 and s.source_id = w.source_id and s.stream = w.stream and w.kind = 'unmatched' offset 0) o on true
      where w.kind = 'unmatched' and not exists (select 1 from (${seen('$1', '$2')}) k where k.id = o.id and k.seq > w.seq)`,
          parameters,
        );
  const referrers = await client.query<Row>(
    `with item as not materialized (
       select s.stream, s.source_id, s.kind, s.seq from tidemark.staged_item s where s.run_id = $1 and s.token = any($2)
     ), seen as not materialized (
       ${seen('$1', '$2')}
     ), gone as (
       select g.stream, g.source_id, min(g.seq) as seq from item g where g.kind = 'gone' group by g.stream, g.source_id
     ), arriving as (
       select i.source_id, o.id
         from (select s.stream, s.source_id, g.seq < s.seq as returned
                 from item s left join gone g on g.stream = s.stream and g.source_id = s.source_id
                where s.kind = 'object' offset 0) i
         left join lateral (
           select s.id, s.deleted_at, s.deactivated_at from tidemark.object s
            where s.integration_id = $3 and s.source_id = i.source_id and s.stream = i.stream offset 0) o on true
        where o.id is null or o.deleted_at is not null or o.deactivated_at is not null or i.returned
        union all
       select g.source_id, o.id
         from gone g
         cross join lateral (
           select s.id from tidemark.object s
            where s.integration_id = $3 and s.source_id = g.source_id and s.stream = g.stream offset 0) o
         join seen k on k.id = o.id and k.seq > g.seq
        union all
       select o.source_id, null
         from tidemark.arrival r
         cross join lateral (
           select s.source_id from tidemark.object s
            where s.id = r.object_id and s.deleted_at is null and s.deactivated_at is null offset 0) o
        where r.integration_id = $3
        union all
       select q.source_id, null
         from tidemark.quarantine q
        where q.integration_id = $3 and q.stream = any($4) and q.retry_asked_at is not null
     ), referrer as (
       select u.from_id
         from arriving a
         cross join lateral (
           select s.from_id from tidemark.unresolved_link s where s.integration_id = $3 and s.target = a.source_id offset 0) u
        union
       select l.from_id from arriving a cross join lateral (select s.from_id from tidemark.link s where s.to_id = a.id offset 0) l
     )
     select f.stream, f.source_id
       from referrer r
       cross join lateral (
         select s.stream, s.source_id from tidemark.object s
          where s.id = r.from_id and s.deleted_at is null and s.deactivated_at is null offset 0) f
      where f.stream = any($4)
        and not exists (select 1 from seen k where k.id = r.from_id)
        and not exists (select 1 from item i where i.stream = f.stream and i.source_id = f.source_id and i.kind in ('object', 'created'))`,
    [...parameters, plan.streams.map((stream) => stream.stream)],
  );
  return plan.streams.map(({ stream }) => ({
    stream,
    absent: idsOf(absent.rows, stream),
    unmatched: idsOf(unmatched.rows, stream),
    referrers: idsOf(referrers.rows, stream),
  }));
}

/**
 * Whether what the staged parts created is all that the run has created: no attempt that was lost has created anything. Since nothing else is
 * stored of a first read, nothing can be absent then, and nothing refers to what arrives.
 */
async function isAllCreatedHere(client: pg.ClientBase, { claim }: RunPlan, staged: readonly Staged[]): Promise<boolean> {
  const { rows } = await client.query<{ objects: string }>(
    `select coalesce(sum(changes), 0) as objects from tidemark.run_count where run_id = $1 and kind = 'created'`,
    [claim.runId],
  );
  return Number(rows[0]?.objects) === createdWhileRead(staged);
}

const nothing: { readonly rows: readonly Row[] } = { rows: [] };

interface Row {
  readonly stream: string;
  readonly source_id: string;
}

function idsOf(rows: readonly Row[], stream: string): readonly string[] {
  return rows.filter((row) => row.stream === stream).map((row) => row.source_id);
}
