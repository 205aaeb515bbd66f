import type pg from 'pg';
import type { IdentityPlan } from '../../model/identity-run.ts';
import type { StepRecord, StreamTotals } from '../../model/run.ts';
import { identitiesName } from '../../model/workflow-ids.ts';
import { fenced, type StepAttempt } from '../fence.ts';
import { advanceMarkers, releaseClaim } from '../run-end.ts';

/** Ends a run of identities in one transaction: its marker by compare-and-set, its totals, its claim given back. */
export async function commitIdentities(
  pool: pg.Pool,
  attempt: StepAttempt,
  { plan, steps }: { readonly plan: IdentityPlan; readonly steps: Readonly<Record<string, StepRecord>> },
): Promise<void> {
  await fenced(pool, attempt, 'exclusive', async (client) => {
    const { claim, marker } = plan;
    await advanceMarkers(client, claim, [marker]);
    const { rows } = await client.query<{ totals: Partial<StreamTotals> | null; waiting: string }>(
      `select r.streams -> '${identitiesName}' as totals, (select count(*) from tidemark.identity_object where state = 'ambiguous') as waiting
         from tidemark.sync_run r where r.id = $1`,
      [claim.runId],
    );
    const totals: StreamTotals = {
      mode: plan.mode,
      reason: plan.reason,
      read: 0,
      created: 0,
      updated: 0,
      unchanged: 0,
      deleted: 0,
      deactivated: 0,
      restored: 0,
      quarantined: 0,
      ...rows[0]?.totals,
      held: Number(rows[0]?.waiting),
      marker: { before: marker.stored?.marker.position ?? null, after: marker.next.position },
    };
    await client.query(
      `update tidemark.sync_run set outcome = 'succeeded', finished_at = now(), streams = $2, steps = steps || $3 where id = $1`,
      [claim.runId, JSON.stringify({ [identitiesName]: totals }), JSON.stringify(steps)],
    );
    await releaseClaim(client, claim.integration, claim.runId);
  });
}
