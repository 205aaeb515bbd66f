import type pg from 'pg';
import { listedStreams, type RunPlan, type Staged } from '../../model/run.ts';
import type { StepAttempt } from '../fence.ts';
import { mappingTokens, seen, stagedTokens } from './staging.ts';

export interface VerdictParameters {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
  /** Token of the transform attempt whose rows count; null if the step did not run. */
  readonly mappingToken: string | null;
  readonly action: 'delete' | 'deactivate';
}

/**
 * Gives every staged item that is not plainly unchanged its verdict, the last in read order winning, and says whether its links differ. That no
 * later item is of the same object is found by hashing, in the order of the rows: a sort of a large run would go to disk, and later batches
 * would find their verdicts scattered.
 * Items that concern nothing stored (gone and unknown to us) get none, nor does a delta's repetition of news that is held already: alone it
 * would fall below the limit that its plan exceeded. Returns how many verdicts were given.
 */
export async function insertVerdicts(
  client: pg.ClientBase,
  attempt: StepAttempt,
  { plan, staged, mappingToken, action }: VerdictParameters,
): Promise<number> {
  const listed = listedStreams(plan, staged);
  const mappingVersions = Object.fromEntries(plan.streams.map((stream) => [stream.stream, stream.mappingVersion]));
  const { rowCount } = await client.query(
    `with winner as (
       select s.seq, s.stream, s.source_id, s.kind, s.source_hash, s.links_hash, s.link_kinds, s.reason
         from tidemark.staged_item s
        where s.run_id = $1 and s.token = any($2) and s.kind <> 'created'
          and not exists (select 1 from tidemark.staged_item l
                           where l.run_id = $1 and l.token = any($2) and l.stream = s.stream and l.source_id = s.source_id and l.seq > s.seq)
     ), judged as (
       select w.seq, w.stream, w.source_id, o.id as object_id, coalesce(m.reason, w.reason) as reason,
              case
                when w.kind in ('object', 'stored') and (m.kind = 'problem' or w.reason is not null) then 'quarantined'
                when w.kind in ('object', 'stored') and m.kind = 'out-of-scope' then case when active.is then 'out-of-scope' end
                when w.kind = 'object' and o.id is null then 'new'
                when w.kind = 'object' and (o.deleted_at is not null or o.deactivated_at is not null) then 'restored'
                when w.kind = 'object' and (o.source_hash is distinct from w.source_hash or o.mapping_version <> $6::jsonb ->> w.stream) then 'changed'
                when w.kind = 'object' then 'unchanged'
                when w.kind = 'stored' then 'remapped'
                when not coalesce(active.is, false) then null
                when w.stream = any($9) and exists (select 1 from tidemark.held_deletion h
                                                     where h.object_id = o.id and h.link is null and h.reason = w.kind) then null
                when w.kind = 'unmatched' then 'unknown'
                else w.kind
              end as verdict,
              w.kind = 'object' and w.link_kinds is not null and $8
                and (o.id is null or o.deleted_at is not null or o.deactivated_at is not null or o.links_hash is distinct from w.links_hash) as links,
              coalesce('member' = any(w.link_kinds), false) as members
         from winner w
         left join lateral (
           select s.id, s.source_hash, s.mapping_version, s.deleted_at, s.deactivated_at,
                  (select l.links_hash from tidemark.links_state l where l.object_id = s.id) as links_hash
             from tidemark.object s
            where s.integration_id = $4 and s.source_id = w.source_id and s.stream = w.stream offset 0) o on true
         left join tidemark.staged_mapping m on m.run_id = $1 and m.token = any($5) and m.seq = w.seq
         cross join lateral (select o.deleted_at is null and (o.deactivated_at is null or $7 = 'delete') and o.id is not null as is) active
        where not exists (select 1 from (${seen('$1', '$2')}) k where k.id = o.id and k.seq > w.seq)
     )
     insert into tidemark.staged_verdict (run_id, token, seq, stream, source_id, object_id, verdict, links, members, reason)
     select $1, $3, j.seq, j.stream, j.source_id, j.object_id, j.verdict, j.links and j.verdict in ('new', 'changed', 'restored', 'unchanged'), j.members, j.reason
       from judged j
      where j.verdict is not null`,
    [
      plan.claim.runId,
      stagedTokens(staged),
      attempt.token,
      plan.claim.integration,
      mappingTokens(staged, mappingToken),
      JSON.stringify(mappingVersions),
      action,
      plan.steps.lookup,
      plan.approval ? [] : plan.streams.map(({ stream }) => stream).filter((stream) => !listed.includes(stream)),
    ],
  );
  return (rowCount ?? 0) + (plan.creates ? await insertCreated(client, attempt, plan, staged) : 0);
}

/** Of a list of members that was created while it was read only the links are left to do; it is what it is, so nothing is looked up. */
async function insertCreated(client: pg.ClientBase, attempt: StepAttempt, plan: RunPlan, staged: readonly Staged[]): Promise<number> {
  const { rowCount } = await client.query(
    `insert into tidemark.staged_verdict (run_id, token, seq, stream, source_id, verdict, links, members)
     select $1, $3, s.seq, s.stream, s.source_id, 'unchanged', true, 'member' = any(s.link_kinds)
       from tidemark.staged_item s
      where s.run_id = $1 and s.token = any($2) and s.kind = 'created' and s.link_kinds is not null
        and not exists (select 1 from tidemark.staged_item l
                         where l.run_id = $1 and l.token = any($2) and l.stream = s.stream and l.source_id = s.source_id and l.seq > s.seq)`,
    [plan.claim.runId, stagedTokens(staged), attempt.token],
  );
  return rowCount ?? 0;
}

/** Withdraws held deletions of objects that a read has shown present and in scope, and of links that a read has shown. */
export async function withdrawHeld(client: pg.ClientBase, verdictToken: string, plan: RunPlan, staged: readonly Staged[]): Promise<void> {
  await client.query(
    `delete from tidemark.held_deletion h
      using tidemark.staged_verdict v
      where h.integration_id = $3 and v.run_id = $1 and v.token = $2 and h.object_id = v.object_id and h.link is null
        and v.verdict in ('changed', 'restored', 'unchanged', 'quarantined')`,
    [plan.claim.runId, verdictToken, plan.claim.integration],
  );
  await client.query(
    `delete from tidemark.held_deletion
      where id = any(array(
        select h.id
          from tidemark.held_deletion h
          join tidemark.staged_verdict v
            on v.run_id = $1 and v.token = $2 and v.object_id = h.object_id and v.verdict in ('changed', 'restored', 'unchanged')
          cross join lateral (select s.source_id from tidemark.object s where s.id = h.target_id offset 0) t
          join tidemark.staged_link l on l.run_id = $1 and l.token = any($3) and l.seq = v.seq and l.kind = h.link and l.target = t.source_id
         where h.integration_id = $4 and h.link is not null))`,
    [plan.claim.runId, verdictToken, stagedTokens(staged), plan.claim.integration],
  );
}
