import type { Client } from '@temporalio/client';
import type { Configuration } from '../model/config/types.ts';
import { compareConfiguration, currentConfigurations, type IntegrationChange, storeConfiguration } from '../store/apply-configuration.ts';
import { readDatabaseId } from '../store/sql/feed-cursor.ts';
import type { Store } from '../store/store.ts';
import { declareMaintenance, deleteSchedules, planSchedules, type ScheduleChange, writeSchedules } from './schedules.ts';

/** What applying a configuration changes, or would change. */
export interface ApplyPlan {
  readonly integrations: readonly IntegrationChange[];
  readonly schedules: readonly ScheduleChange[];
}

/**
 * Stores a configuration and makes Temporal's schedules those of it. Applying again changes nothing; an apply that was interrupted is
 * finished by the next. With `dryRun` nothing is changed anywhere.
 */
export async function applyConfiguration(options: {
  readonly store: Store;
  readonly temporal: Client;
  readonly configuration: Configuration;
  readonly taskQueue: string;
  readonly dryRun?: boolean;
}): Promise<ApplyPlan> {
  const { store, temporal, configuration, taskQueue } = options;
  const wanted = {
    configurations: new Map(Object.entries(configuration.integrations)),
    maintenance: declareMaintenance(await readDatabaseId(store.pool), configuration.retention, taskQueue),
    taskQueue,
  };
  const schedules = await planSchedules(temporal, await currentConfigurations(store), wanted);
  if (options.dryRun) return { integrations: await compareConfiguration(store, configuration), schedules };
  await deleteSchedules(temporal, schedules);
  const integrations = await storeConfiguration(store, configuration);
  await writeSchedules(temporal, schedules, wanted);
  return { integrations, schedules };
}
