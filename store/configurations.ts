import type { IntegrationConfig, Subject } from '../model/config/types.ts';
import { TidemarkFailure } from '../model/failure.ts';
import { IntegrationConfigVersion } from './entities/integration.ts';
import type { Store } from './store.ts';

/** Reads configuration versions of what the caller knows to be of this kind; they are immutable, so each is read once a process. */
export function configurationReader<Config extends Subject = IntegrationConfig>(store: Store): (configId: string) => Promise<Config> {
  const known = new Map<string, Config>();
  return async (configId) => {
    const cached = known.get(configId);
    if (cached) return cached;
    const version = await store.orm.em.fork().findOne(IntegrationConfigVersion, { id: configId });
    if (!version) {
      throw new TidemarkFailure('InvalidConfiguration', `Configuration version ${configId} is not stored.`, {
        remedy: 'Run "tidemark apply" against this database.',
      });
    }
    const config = version.config as Subject as Config;
    known.set(configId, config);
    return config;
  };
}
