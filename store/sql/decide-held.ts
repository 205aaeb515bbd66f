import type pg from 'pg';
import type { DecidedOutcome } from '../../model/run.ts';

/**
 * Records for a run which rows of a shown plan it decides on: those that are still held. Asked again by another attempt it keeps what is
 * recorded. Returns the source ids of their objects that are still held.
 */
export async function takeUpHeld(client: pg.ClientBase, runId: string, digest: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ source_id: string }>(
    `with open as materialized (
       select h.id, h.stream, h.object_id, h.link, h.target_id
         from tidemark.held_deletion h
        where h.id = any(array(select unnest(p.held_ids) from tidemark.held_plan p where p.digest = $2))
     ), taken as (
       insert into tidemark.decided_deletion (run_id, held_id, stream, object_id, link, target_id)
       select $1, o.id, o.stream, o.object_id, o.link, o.target_id from open o
       on conflict do nothing
     )
     select s.source_id
       from (select distinct o.object_id from open o) d
       cross join lateral (select x.source_id from tidemark.object x where x.id = d.object_id offset 0) s
      order by s.source_id`,
    [runId, digest],
  );
  return rows.map((row) => row.source_id);
}

/** Whether the run has taken up rows before: an attempt that finds none held is then not too late, it is a repetition. */
export async function hasTakenUp(client: pg.ClientBase, runId: string): Promise<boolean> {
  const { rows } = await client.query(`select 1 from tidemark.decided_deletion where run_id = $1 limit 1`, [runId]);
  return rows.length > 0;
}

/** Drops the rows that the run has taken up, and the hashes of what they are about: the next run that reads it judges it anew. */
export async function dropDeclined(client: pg.ClientBase, runId: string): Promise<void> {
  await client.query(
    `with declined as materialized (
       select d.held_id, d.object_id, d.link from tidemark.decided_deletion d where d.run_id = $1 and d.outcome is null
     ), dropped as (
       delete from tidemark.held_deletion h where h.id = any(array(select d.held_id from declined d))
     ), unhashed as (
       update tidemark.object o set source_hash = null where o.id = any(array(select d.object_id from declined d where d.link is null))
     ), unlinked as (
       delete from tidemark.links_state s where s.object_id = any(array(select d.object_id from declined d where d.link is not null))
     )
     update tidemark.decided_deletion d set outcome = 'declined' where d.run_id = $1 and d.outcome is null`,
    [runId],
  );
}

/** Writes down what became of every row that these runs have taken up, and the sums into the runs. */
export async function settleDecided(client: pg.ClientBase, runIds: readonly string[]): Promise<void> {
  await client.query(
    `update tidemark.decided_deletion d
        set outcome = case when f.removed then 'applied' when f.held then 'kept' else 'withdrawn' end
       from (select o.run_id, o.held_id, c.object_id is not null as removed, h.id is not null as held
               from tidemark.decided_deletion o
               left join (select distinct s.run_id, s.object_id, coalesce(s.link, '') as link, coalesce(s.target_id, 0) as target_id
                            from tidemark.change s
                           where s.run_id = any($1::bigint[]) and s.kind in ('deleted', 'deactivated', 'link-removed')) c
                 on c.run_id = o.run_id and c.object_id = o.object_id and c.link = coalesce(o.link, '') and c.target_id = coalesce(o.target_id, 0)
               left join tidemark.held_deletion h on h.id = o.held_id
              where o.run_id = any($1::bigint[]) and o.outcome is null) f
      where d.run_id = any($1::bigint[]) and d.run_id = f.run_id and d.held_id = f.held_id`,
    [runIds],
  );
  await client.query(
    `update tidemark.sync_run r
        set decision = r.decision || jsonb_build_object('rows',
              '{"applied": 0, "withdrawn": 0, "kept": 0, "declined": 0}'::jsonb || coalesce(
                (select jsonb_object_agg(c.outcome, c.rows)
                   from (select d.outcome, count(*) as rows from tidemark.decided_deletion d where d.run_id = r.id group by d.outcome) c), '{}'))
      where r.id = any($1::bigint[]) and r.decision is not null`,
    [runIds],
  );
}

/** One held row that was decided on. */
export interface DecidedRow {
  readonly stream: string;
  /** Null once the object has been removed for good. */
  readonly sourceId: string | null;
  readonly key: string | null;
  /** Set where one link was held, not the object. */
  readonly link: { readonly kind: string; readonly target: string | null } | null;
  /** Null while the run has not ended. */
  readonly outcome: DecidedOutcome | null;
}

/** What became of each row that a run decided on. */
export async function readDecided(pool: pg.Pool, runId: string): Promise<readonly DecidedRow[]> {
  const { rows } = await pool.query<Omit<DecidedRow, 'link'> & { readonly kind: string | null; readonly target: string | null }>(
    `select d.stream, o.source_id as "sourceId", o.key, d.link as kind, t.source_id as target, d.outcome
       from tidemark.decided_deletion d
       left join tidemark.object o on o.id = d.object_id
       left join tidemark.object t on t.id = d.target_id
      where d.run_id = $1 order by d.held_id`,
    [runId],
  );
  return rows.map(({ kind, target, ...row }) => ({ ...row, link: kind === null ? null : { kind, target } }));
}
