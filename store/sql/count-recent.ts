import type pg from 'pg';

/** Removals of one stream that count towards its limits. */
export interface RecentRemovals {
  /** Objects deleted or deactivated. */
  readonly objects: number;
  /** Member links removed. */
  readonly members: number;
}

/**
 * What was removed of an integration within the last 24 hours, by stream, by whatever became of the runs, `runId` (the one that asks)
 * included. Approved removals do not count, nor links that went because one of their ends did.
 */
export async function countRecent(
  client: pg.Pool | pg.ClientBase,
  integration: string,
  runId: string,
): Promise<(stream: string) => RecentRemovals> {
  const { rows } = await client.query<{ stream: string; objects: string; members: string }>(
    `with removal as materialized (
       select c.*
         from tidemark.sync_run r
         cross join lateral (
           select s.run_id, s.kind, s.object_id, s.target_id from tidemark.change s
            where s.run_id = r.id and s.kind in ('deleted', 'deactivated', 'link-removed') and (s.link is null or s.link = 'member')
              and s.at > now() - interval '24 hours' offset 0) c
        where r.integration_id = $1 and r.requested_mode <> 'approve' and (r.finished_at > now() - interval '24 hours' or r.id = $2)
     ), gone as materialized (
       select d.run_id, d.object_id from removal d where d.kind <> 'link-removed'
     ), counted as (
       select d.object_id, 1 as objects, 0 as members from gone d
        union all
       select c.object_id, 0, 1
         from removal c
        where c.kind = 'link-removed'
          and not exists (select 1 from gone g where g.run_id = c.run_id and g.object_id = c.object_id)
          and not exists (select 1 from gone g where g.run_id = c.run_id and g.object_id = c.target_id)
     )
     select o.stream, sum(c.objects) as objects, sum(c.members) as members
       from counted c cross join lateral (select s.stream from tidemark.object s where s.id = c.object_id offset 0) o
      group by o.stream`,
    [integration, runId],
  );
  return (stream) => {
    const row = rows.find((candidate) => candidate.stream === stream);
    return { objects: Number(row?.objects ?? 0), members: Number(row?.members ?? 0) };
  };
}
