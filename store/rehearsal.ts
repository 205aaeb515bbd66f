import type pg from 'pg';
import type { LinkTotals, RunPlan, Staged, StreamTotals } from '../model/run.ts';
import { fenced, type StepAttempt } from './fence.ts';
import { linkTotals, streamTotals } from './run-end.ts';
import { readDrift, type StoredDrift } from './sql/read-drift.ts';

/** One thing that a dry run would have done. */
export interface PlanSample {
  readonly stream: string;
  readonly sourceId: string;
  readonly key: string | null;
  /** Attributes and key as they are, and as they would be; only what differs. */
  readonly before?: unknown;
  readonly after?: unknown;
  readonly link?: { readonly kind: string; readonly target: string };
  /** Why it would be deleted, held or set aside. */
  readonly reason?: string;
}

/** What would happen (`created`, `updated`, `restored`, `deactivated`, `deleted`, `link-added`, `link-removed`, `held`, `quarantined`) to up to ten samples a stream. */
export type PlanSamples = Readonly<Record<string, readonly PlanSample[]>>;

/** What a dry run would have done; kept with its run, and nowhere in Temporal: it holds what people's records hold. */
export interface RehearsedPlan {
  readonly streams: Readonly<Record<string, StreamTotals>>;
  readonly links: LinkTotals;
  /** What deltas have missed, as far as it was compared. */
  readonly drift: StoredDrift | null;
  readonly samples: PlanSamples;
}

const samplesEach = 10;

/** Reads what the run has done so far, inside the transaction that will be taken back. */
export async function readRehearsed(client: pg.ClientBase, plan: RunPlan, staged: readonly Staged[]): Promise<RehearsedPlan> {
  return {
    streams: await streamTotals(client, plan, staged, false),
    links: await linkTotals(client, plan.claim),
    drift: await readDrift(client, plan, staged),
    samples: await readSamples(client, plan),
  };
}

async function readSamples(client: pg.ClientBase, { claim }: RunPlan): Promise<PlanSamples> {
  const { rows } = await client.query<{ what: string; sample: PlanSample }>(
    `with sample as (
       select c.kind as what, o.stream, o.source_id, o.key, c.before, c.after, c.link, c.target_id, c.after ->> 'reason' as reason, c.id as place
         from (select s.*, row_number() over (partition by s.kind, f.stream order by s.id) as number
                 from tidemark.change s
                 cross join lateral (select k.stream from tidemark.object k where k.id = s.object_id offset 0) f
                where s.run_id = $1) c
         cross join lateral (select s.stream, s.source_id, s.key from tidemark.object s where s.id = c.object_id offset 0) o
        where c.number <= $3
        union all
       select 'held', h.stream, o.source_id, o.key, null, null, h.link, h.target_id, h.reason || ': ' || h.limit_exceeded, h.id
         from (select s.*, row_number() over (partition by s.stream order by s.id) as number
                 from tidemark.held_deletion s where s.integration_id = $2 and s.last_run_id = $1) h
         cross join lateral (select s.source_id, s.key from tidemark.object s where s.id = h.object_id offset 0) o
        where h.number <= $3
        union all
       select 'quarantined', q.stream, q.source_id, null, null, null, null, null, q.reason, q.number
         from (select s.*, row_number() over (partition by s.stream order by s.source_id) as number
                 from tidemark.quarantine s where s.integration_id = $2 and s.last_run_id = $1) q
        where q.number <= $3
     )
     select s.what,
            jsonb_strip_nulls(jsonb_build_object('before', s.before, 'after', s.after, 'reason', s.reason,
              'link', case when s.link is not null then jsonb_build_object('kind', s.link, 'target', t.source_id) end))
              || jsonb_build_object('stream', s.stream, 'sourceId', s.source_id, 'key', s.key) as sample
       from sample s
       left join lateral (select o.source_id from tidemark.object o where o.id = s.target_id offset 0) t on true
      order by s.what, s.stream, s.place`,
    [claim.runId, claim.integration, samplesEach],
  );
  const samples: Record<string, PlanSample[]> = {};
  for (const { what, sample } of rows) {
    const list = samples[what] ?? [];
    samples[what] = list;
    list.push(sample);
  }
  return samples;
}

/** Keeps what was rehearsed with its run. */
export async function saveRehearsed(pool: pg.Pool, attempt: StepAttempt, rehearsed: RehearsedPlan): Promise<void> {
  await fenced(pool, attempt, 'exclusive', async (client) => {
    await client.query(`update tidemark.sync_run set plan = $2 where id = $1`, [attempt.claim.runId, JSON.stringify(rehearsed)]);
  });
}

/** The samples of a dry run; null for any other run, and for one that found nothing to do. */
export async function readPlanSamples(pool: pg.Pool, runId: string): Promise<PlanSamples | null> {
  const { rows } = await pool.query<{ samples: PlanSamples | null }>(
    `select plan -> 'samples' as samples from tidemark.sync_run where id = $1`,
    [runId],
  );
  return rows[0]?.samples ?? null;
}
