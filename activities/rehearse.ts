import { rehearsed } from '../store/fence.ts';
import { readRehearsed, saveRehearsed } from '../store/rehearsal.ts';
import { withdrawHeld } from '../store/sql/insert-verdicts.ts';
import { verifyStaged } from '../store/sql/staging.ts';
import type { StagedRows } from '../store/sql/upsert-batch.ts';
import { applyCleanup } from './cleanup.ts';
import type { Dependencies } from './dependencies.ts';
import { applyMemberships } from './membership.ts';
import { attemptOf, step } from './step.ts';
import { rehearsalWriter } from './step-writer.ts';
import { upsertRows } from './upsert.ts';

/**
 * The writing steps of a dry run: does what upsert, membership and cleanup would do, by the same statements, in one transaction; reads what
 * came of it, and takes the transaction back.
 */
export function rehearse(deps: Dependencies) {
  return async (rows: StagedRows): Promise<void> => {
    const { plan, staged } = rows;
    const config = await deps.configuration(plan.configId);
    await step('rehearse', config.unreachableLimitMs, async (context) => {
      const { pool } = deps.store;
      const attempt = await attemptOf(deps, plan.claim, 'rehearse');
      await verifyStaged(pool, plan, staged);
      const result = await rehearsed(pool, attempt, async (client) => {
        const writer = rehearsalWriter(client);
        const parts = { writer, rows, batchSize: config.steps.upsert.batchSize, context };
        await withdrawHeld(client, rows.verdictToken, plan, staged);
        if (plan.steps.upsert) await upsertRows(parts);
        if (plan.steps.membership) await applyMemberships(parts, config.steps.membership.limits);
        if (plan.steps.cleanup) await applyCleanup(parts, config.steps.cleanup);
        return readRehearsed(client, plan, staged);
      });
      await saveRehearsed(pool, attempt, result);
    });
  };
}
