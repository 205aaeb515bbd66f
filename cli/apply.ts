import type { Client } from '@temporalio/client';
import type { Configuration } from '../model/config/types.ts';
import { adviseSpacing, type SpacingAdvice } from '../model/spacing.ts';
import { compareConfiguration, currentConfigurations, type IntegrationChange, storeConfiguration } from '../store/apply-configuration.ts';
import { readMeasuredRuns } from '../store/read-measured-runs.ts';
import { readDatabaseId } from '../store/sql/feed-cursor.ts';
import type { Store } from '../store/store.ts';
import { declareMaintenance, deleteSchedules, planSchedules, type ScheduleChange, writeSchedules } from './schedules.ts';

/** What applying a configuration changes, or would change. */
export interface ApplyPlan {
  readonly integrations: readonly IntegrationChange[];
  readonly schedules: readonly ScheduleChange[];
  /** Where the schedules of this configuration are too close for what runs have taken so far. */
  readonly spacing: readonly (SpacingAdvice & { readonly integration: string })[];
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
  const spacing = await spacingOf(store, configuration);
  if (options.dryRun) return { integrations: await compareConfiguration(store, configuration), schedules, spacing };
  await deleteSchedules(temporal, schedules);
  const integrations = await storeConfiguration(store, configuration);
  await writeSchedules(temporal, schedules, wanted);
  return { integrations, schedules, spacing };
}

async function spacingOf(store: Store, { integrations }: Configuration): Promise<ApplyPlan['spacing']> {
  const advice = Object.entries(integrations).map(async ([integration, { schedules }]) =>
    adviseSpacing(schedules, await readMeasuredRuns(store, integration)).map((found) => ({ integration, ...found })),
  );
  return (await Promise.all(advice)).flat();
}
