import type pg from 'pg';
import type { HeldKind } from '../../model/run.ts';

/** The held deletions of one stream, or the held removals of its members, as one plan to decide on. */
export interface HeldPlan {
  /** Names exactly this set of rows: another as soon as one comes back or one more goes, the same while they are only held again. */
  readonly digest: string;
  readonly integration: string;
  readonly stream: string;
  readonly what: HeldKind;
  readonly rows: number;
  /** When the first of them was held; ISO 8601, UTC. */
  readonly since: string;
  readonly firstRun: string;
  /** The last run that held one of them. */
  readonly lastRun: string;
  /** Which limits they exceeded, in words with their figures. */
  readonly limits: readonly string[];
  /** Rows by reason: `gone`, `absent`, `out-of-scope`, `unknown`. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** How long a digest that was shown can be decided on. */
const rememberedDays = 30;

/**
 * The open plans, of one integration or of all. What is shown is remembered under its digest: a later decision is about these rows, whatever
 * has been held since.
 */
export async function showPlans(pool: pg.Pool, integration?: string): Promise<readonly HeldPlan[]> {
  const { rows } = await pool.query<Omit<HeldPlan, 'since'> & { readonly since: Date }>(
    `with held as (
       select h.*, case when h.link is null then 'objects' else 'members' end as what
         from tidemark.held_deletion h where $1::text is null or h.integration_id = $1
     ), plan as materialized (
       select h.integration_id, h.stream, h.what, count(*)::int as rows, min(h.held_at) as since, min(h.first_run_id) as first_run,
              max(h.last_run_id) as last_run, array_agg(h.id order by h.id) as ids, array_agg(distinct h.limit_exceeded) as limits,
              left(encode(sha256(convert_to(h.integration_id || '/' || h.stream || '/' || h.what || '/' || string_agg(
                h.id || ':' || h.object_id || ':' || coalesce(h.link, '') || ':' || coalesce(h.target_id::text, ''), ',' order by h.id), 'UTF8')), 'hex'), 16) as digest
         from held h group by h.integration_id, h.stream, h.what
     ), reason as (
       select c.integration_id, c.stream, c.what, jsonb_object_agg(c.reason, c.rows) as reasons
         from (select h.integration_id, h.stream, h.what, h.reason, count(*) as rows
                 from held h group by h.integration_id, h.stream, h.what, h.reason) c
        group by c.integration_id, c.stream, c.what
     ), forgotten as (
       delete from tidemark.held_plan p
        where p.shown_at < now() - $2 * interval '1 day' and not exists (select 1 from plan n where n.digest = p.digest)
     ), remembered as (
       insert into tidemark.held_plan (digest, integration_id, stream, what, held_ids)
       select p.digest, p.integration_id, p.stream, p.what, p.ids from plan p
       on conflict (digest) do update set shown_at = now()
     )
     select p.digest, p.integration_id as integration, p.stream, p.what, p.rows, p.since, p.first_run as "firstRun", p.last_run as "lastRun",
            p.limits, r.reasons
       from plan p join reason r on r.integration_id = p.integration_id and r.stream = p.stream and r.what = p.what
      order by p.integration_id, p.stream, p.what desc`,
    [integration ?? null, rememberedDays],
  );
  return rows.map(({ since, ...plan }) => ({ ...plan, since: since.toISOString() }));
}

/** A plan that was shown. */
export interface ShownPlan {
  readonly digest: string;
  readonly integration: string;
  readonly stream: string;
  readonly what: HeldKind;
  /** Rows of the plan when it was shown. */
  readonly rows: number;
  /** Those that are still held. */
  readonly open: number;
}

/** The plan that was shown under this digest; undefined if none was. */
export async function findShownPlan(client: pg.Pool | pg.ClientBase, digest: string): Promise<ShownPlan | undefined> {
  const { rows } = await client.query<ShownPlan>(
    `select p.digest, p.integration_id as integration, p.stream, p.what, cardinality(p.held_ids) as rows,
            (select count(*)::int from tidemark.held_deletion h where h.id = any(p.held_ids)) as open
       from tidemark.held_plan p where p.digest = $1`,
    [digest],
  );
  return rows[0];
}
