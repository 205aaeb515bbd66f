import { createHash } from 'node:crypto';
import { canonicalJson } from '../model/canonical.ts';
import type { Configuration, IdentitiesConfig, IntegrationConfig, Subject } from '../model/config/types.ts';
import { identitiesName } from '../model/workflow-ids.ts';
import { Integration, IntegrationConfigVersion } from './entities/integration.ts';
import { inTransaction } from './fence.ts';
import type { Store } from './store.ts';

/** Of an integration, or of `identities`. */
export interface IntegrationChange {
  readonly integration: string;
  readonly action: 'create' | 'update' | 'remove' | 'unchanged';
}

type Subjects = Pick<Configuration, 'integrations' | 'identities'>;

/** All that a configuration has runs and schedules for, by name. */
export function subjectsOf({ integrations, identities }: Subjects): ReadonlyMap<string, Subject> {
  return new Map<string, Subject>([
    ...Object.entries(integrations),
    ...(identities === undefined ? [] : [[identitiesName, identities] as const]),
  ]);
}

/** The configurations in force, by integration. */
export async function currentConfigurations(store: Store): Promise<ReadonlyMap<string, IntegrationConfig>> {
  const subjects = [...(await currentSubjects(store))];
  return new Map(subjects.filter((subject): subject is [string, IntegrationConfig] => subject[0] !== identitiesName));
}

/** All that is in force, by name: what the schedules were made from. */
export async function currentSubjects(store: Store): Promise<ReadonlyMap<string, IntegrationConfig | IdentitiesConfig>> {
  const em = store.orm.em.fork();
  const integrations = await em.find(Integration, { removedAt: null, configId: { $ne: null } });
  const versions = await em.find(IntegrationConfigVersion, {
    id: { $in: integrations.map((integration) => integration.configId as string) },
  });
  return new Map(versions.map((version) => [version.integrationId, version.config]));
}

/** What storing this configuration would change. */
export async function compareConfiguration(store: Store, configuration: Subjects): Promise<readonly IntegrationChange[]> {
  const current = await currentSubjects(store);
  const subjects = subjectsOf(configuration);
  const wanted = [...subjects].map(([integration, config]): IntegrationChange => {
    const before = current.get(integration);
    if (!before) return { integration, action: 'create' };
    return { integration, action: digestOf(before) === digestOf(config) ? 'unchanged' : 'update' };
  });
  const removed = [...current.keys()].filter((integration) => !subjects.has(integration));
  return [...wanted, ...removed.map((integration): IntegrationChange => ({ integration, action: 'remove' }))];
}

/**
 * Stores each integration's configuration as an immutable version and makes it the current one; runs that have begun keep theirs. An
 * integration that the configuration no longer names is marked removed: its rows stay, nothing of it runs.
 */
export async function storeConfiguration(store: Store, configuration: Subjects): Promise<readonly IntegrationChange[]> {
  const subjects = subjectsOf(configuration);
  const changes = await compareConfiguration(store, configuration);
  await inTransaction(store.pool, 'apply', async (client) => {
    for (const { integration, action } of changes) {
      if (action === 'unchanged') continue;
      const config = subjects.get(integration);
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

function digestOf(config: Subject): string {
  return createHash('sha256').update(canonicalJson(config)).digest('hex');
}
