import { createHash } from 'node:crypto';
import { canonicalJson } from '../model/canonical.ts';
import type { Configuration, IntegrationConfig } from '../model/config/types.ts';
import { Integration, IntegrationConfigVersion } from './entities/integration.ts';
import { inTransaction } from './fence.ts';
import type { Store } from './store.ts';

export interface IntegrationChange {
  readonly integration: string;
  readonly action: 'create' | 'update' | 'remove' | 'unchanged';
}

type Integrations = Pick<Configuration, 'integrations'>;

/** The configurations in force, by integration: what the schedules were made from. */
export async function currentConfigurations(store: Store): Promise<ReadonlyMap<string, IntegrationConfig>> {
  const em = store.orm.em.fork();
  const integrations = await em.find(Integration, { removedAt: null, configId: { $ne: null } });
  const versions = await em.find(IntegrationConfigVersion, {
    id: { $in: integrations.map((integration) => integration.configId as string) },
  });
  return new Map(versions.map((version) => [version.integrationId, version.config]));
}

/** What storing this configuration would change. */
export async function compareConfiguration(store: Store, configuration: Integrations): Promise<readonly IntegrationChange[]> {
  const current = await currentConfigurations(store);
  const wanted = Object.entries(configuration.integrations).map(([integration, config]): IntegrationChange => {
    const before = current.get(integration);
    if (!before) return { integration, action: 'create' };
    return { integration, action: digestOf(before) === digestOf(config) ? 'unchanged' : 'update' };
  });
  const removed = [...current.keys()].filter((integration) => !(integration in configuration.integrations));
  return [...wanted, ...removed.map((integration): IntegrationChange => ({ integration, action: 'remove' }))];
}

/**
 * Stores each integration's configuration as an immutable version and makes it the current one; runs that have begun keep theirs. An
 * integration that the configuration no longer names is marked removed: its rows stay, nothing of it runs.
 */
export async function storeConfiguration(store: Store, configuration: Integrations): Promise<readonly IntegrationChange[]> {
  const changes = await compareConfiguration(store, configuration);
  await inTransaction(store.pool, 'apply', async (client) => {
    for (const { integration, action } of changes) {
      if (action === 'unchanged') continue;
      const config = configuration.integrations[integration];
      if (action === 'remove' || !config) {
        await client.query(`update tidemark.integration set removed_at = now() where id = $1`, [integration]);
        continue;
      }
      await client.query(
        `insert into tidemark.integration (id, connector) values ($1, $2)
         on conflict (id) do update set connector = excluded.connector, removed_at = null`,
        [integration, config.connector],
      );
      const { rows } = await client.query<{ id: string }>(
        `insert into tidemark.integration_config (integration_id, digest, config) values ($1, $2, $3)
         on conflict (integration_id, digest) do update set digest = excluded.digest
         returning id`,
        [integration, digestOf(config), JSON.stringify(config)],
      );
      await client.query(`update tidemark.integration set config_id = $2 where id = $1`, [integration, rows[0]?.id]);
    }
  });
  return changes;
}

function digestOf(config: IntegrationConfig): string {
  return createHash('sha256').update(canonicalJson(config)).digest('hex');
}
