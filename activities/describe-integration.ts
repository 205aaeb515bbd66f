import { Integration } from '../store/entities/integration.ts';
import type { Dependencies } from './dependencies.ts';
import { toApplicationFailure } from './failures.ts';

export interface IntegrationFacts {
  readonly connectorType: string | null;
  /** Task queue of the steps that open a session with the source; null: the common one. */
  readonly sourceTaskQueue: string | null;
  /** The open run, if there is one: what a skipped request was in the way of. */
  readonly running: { readonly id: string; readonly mode: string | null } | null;
}

/** What a launcher must know of an integration; nulls for one that is not configured. */
export function describeIntegration(deps: Dependencies) {
  return async (id: string): Promise<IntegrationFacts> => {
    try {
      const integration = await deps.store.orm.em.fork().findOne(Integration, { id });
      const config = integration?.configId ? await deps.configuration(integration.configId) : undefined;
      const { rows } = await deps.store.pool.query<{ id: string; mode: string | null }>(
        `select id, coalesce(mode, requested_mode) as mode from tidemark.sync_run where integration_id = $1 and outcome = 'running' order by id desc limit 1`,
        [id],
      );
      return { connectorType: integration?.connector ?? null, sourceTaskQueue: config?.taskQueue ?? null, running: rows[0] ?? null };
    } catch (error) {
      throw toApplicationFailure(error, 1);
    }
  };
}
