import type pg from 'pg';
import type { LaunchRequest } from '../../model/run.ts';

/**
 * The committed complete run that makes a waiting complete needless: it began after the request was made, read all streams that are asked
 * for completely, and used the configuration in force now. Null if there is none.
 */
export async function findCovering(pool: pg.Pool, request: LaunchRequest, waitingSince: Date): Promise<string | null> {
  const { rows } = await pool.query<{ id: string }>(
    `select r.id
       from tidemark.sync_run r
       join tidemark.integration i on i.id = r.integration_id and i.config_id = r.config_id
       join tidemark.integration_config c on c.id = i.config_id
      where r.integration_id = $1 and r.outcome = 'succeeded' and not r.dry_run and r.begun_at > $2
        and not exists (select 1 from unnest(coalesce($3::text[], array(select jsonb_object_keys(c.config -> 'streams')))) as wanted
                         where r.streams -> wanted ->> 'mode' is distinct from 'complete')
      order by r.id desc limit 1`,
    [request.integration, waitingSince, request.streams ?? null],
  );
  return rows[0]?.id ?? null;
}
