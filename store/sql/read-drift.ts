import type pg from 'pg';
import type { RunPlan, Staged } from '../../model/run.ts';
import { stagedTokens } from './staging.ts';

/** Objects that show one kind of difference, and the ids of the first of them. */
export interface DriftCount {
  readonly objects: number;
  readonly examples: readonly string[];
}

/** As `Drift` in model/run.ts, with examples: those are kept in the database alone. */
export type StoredDrift = Readonly<Record<string, Readonly<Record<string, DriftCount>>>>;

const examplesKept = 5;

/**
 * What this run has changed in the streams it compared outside the objects that the source says have changed since the markers. A link counts
 * only if neither of its ends is among them: a source need not touch a group whose member was deleted. Null if no stream was compared.
 */
export async function readDrift(client: pg.ClientBase, plan: RunPlan, staged: readonly Staged[]): Promise<StoredDrift | null> {
  const compared = staged.filter((part) => part.compared).map(({ stream }) => stream);
  if (compared.length === 0) return null;
  const { rows } = await client.query<{ stream: string; what: string; objects: string; examples: string[] }>(
    `with touched as materialized (
       select distinct t.source_id from tidemark.staged_touched t where t.run_id = $1 and t.token = any($2)
     ), differing as (
       select o.stream, o.source_id, c.kind, c.link, c.before, c.after
         from tidemark.change c
         cross join lateral (select s.stream, s.source_id from tidemark.object s where s.id = c.object_id offset 0) o
         left join lateral (select s.source_id from tidemark.object s where s.id = c.target_id offset 0) t on true
        where c.run_id = $1 and o.stream = any($3)
          and not exists (select 1 from touched x where x.source_id = o.source_id)
          and not exists (select 1 from touched x where x.source_id = t.source_id)
     ), named as (
       select d.stream, d.source_id, w.what
         from differing d
         cross join lateral (
           select coalesce(d.link, d.kind) as what where d.kind <> 'updated'
            union all
           select 'key' where d.kind = 'updated' and d.after ? 'key'
            union all
           select jsonb_object_keys((d.before -> 'attributes') || (d.after -> 'attributes')) where d.kind = 'updated' offset 0) w
     )
     select n.stream, n.what, count(distinct n.source_id) as objects,
            (array_agg(distinct n.source_id))[1:${examplesKept}] as examples
       from named n group by n.stream, n.what order by n.stream, n.what`,
    [plan.claim.runId, stagedTokens(staged), compared],
  );
  return Object.fromEntries(
    compared.map((stream) => [
      stream,
      Object.fromEntries(
        rows.filter((row) => row.stream === stream).map(({ what, objects, examples }) => [what, { objects: Number(objects), examples }]),
      ),
    ]),
  );
}
