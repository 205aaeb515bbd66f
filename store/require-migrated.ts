import { TidemarkFailure } from '../model/failure.ts';
import type { Store } from './store.ts';

/** Fails with `InvalidConfiguration` unless every migration has run. Asks only: a database without tables stays without. */
export async function requireMigrated(store: Store): Promise<void> {
  const { rows } = await store.pool.query<{ present: boolean }>(`select to_regclass('tidemark.integration') is not null as present`);
  const pending = rows[0]?.present ? await store.pendingMigrations() : ['all'];
  if (pending.length === 0) return;
  throw new TidemarkFailure('InvalidConfiguration', `The database lacks migrations (${pending.join(', ')}).`, {
    remedy: 'Run "tidemark migrate".',
  });
}
