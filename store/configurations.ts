import type { IntegrationConfig } from '../model/config/types.ts';
import { TidemarkFailure } from '../model/failure.ts';
import { IntegrationConfigVersion } from './entities/integration.ts';
import type { Store } from './store.ts';

/** Reads configuration versions; they are immutable, so each is read once a process. */
export function configurationReader(store: Store): (configId: string) => Promise<IntegrationConfig> {
  const known = new Map<string, IntegrationConfig>();
  return async (configId) => {
    const cached = known.get(configId);
    if (cached) return cached;
    const version = await store.orm.em.fork().findOne(IntegrationConfigVersion, { id: configId });
    if (!version) {
      throw new TidemarkFailure('InvalidConfiguration', `Configuration version ${configId} is not stored.`, {
        remedy: 'Run "tidemark apply" against this database.',
      });
    }
    known.set(configId, version.config);
    return version.config;
  };
}
