import type pg from 'pg';
import { identitiesName } from '../../model/workflow-ids.ts';
import type { Composed } from './compose.ts';

/** Adds to what the run has come to so far, in the transaction that does it: however often a step is cut off, nothing counts twice. */
export async function addTotals(client: pg.ClientBase, runId: string, totals: { readonly read: number } | Composed): Promise<void> {
  const named = 'read' in totals ? totals : { ...totals, ended: undefined, deleted: totals.ended };
  await client.query(
    `update tidemark.sync_run r
        set streams = jsonb_build_object('${identitiesName}', coalesce(r.streams -> '${identitiesName}', '{}') || (
              select jsonb_object_agg(n.key, coalesce((r.streams -> '${identitiesName}' ->> n.key)::bigint, 0) + n.value::bigint)
                from jsonb_each_text($2::jsonb) n))
      where r.id = $1`,
    [runId, JSON.stringify(named)],
  );
}
