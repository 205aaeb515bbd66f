import type { Client } from '@temporalio/client';
import { declaredStream } from '../activities/source.ts';
import type { ConnectorRegistry } from '../connectors/registry.ts';
import { reevaluation } from '../model/config/basis.ts';
import type { Configuration } from '../model/config/types.ts';
import { adviseSpacing, type SpacingAdvice } from '../model/spacing.ts';
import {
  compareConfiguration,
  currentSubjects,
  type IntegrationChange,
  storeConfiguration,
  subjectsOf,
} from '../store/apply-configuration.ts';
import { readMarkers } from '../store/markers.ts';
import { readMeasuredRuns } from '../store/read-measured-runs.ts';
import { readDatabaseId } from '../store/sql/feed-cursor.ts';
import type { Store } from '../store/store.ts';
import { builtInConnectors } from './connectors.ts';
import { declareMaintenance, deleteSchedules, planSchedules, type ScheduleChange, writeSchedules } from './schedules.ts';

/** A stream whose stored objects were made with another configuration. */
export interface StreamReevaluation {
  readonly integration: string;
  readonly stream: string;
  readonly needs: 'remap' | 'complete';
  readonly why: string;
}

/** What applying a configuration changes, or would change. */
export interface ApplyPlan {
  readonly integrations: readonly IntegrationChange[];
  readonly schedules: readonly ScheduleChange[];
  /** What the changed configuration asks of the next run of a stream that has been read before; the run sees to it by itself. */
  readonly reevaluations: readonly StreamReevaluation[];
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
    configurations: subjectsOf(configuration),
    maintenance: declareMaintenance(await readDatabaseId(store.pool), configuration.retention, taskQueue),
    taskQueue,
  };
  const schedules = await planSchedules(temporal, await currentSubjects(store), wanted);
  const spacing = await spacingOf(store, configuration);
  const reevaluations = await findReevaluations(store, configuration, builtInConnectors);
  if (options.dryRun) return { integrations: await compareConfiguration(store, configuration), schedules, reevaluations, spacing };
  await deleteSchedules(temporal, schedules);
  const integrations = await storeConfiguration(store, configuration);
  await writeSchedules(temporal, schedules, wanted);
  return { integrations, schedules, reevaluations, spacing };
}

/** The streams that have been read under another configuration than this one, as far as these connectors know them. */
export async function findReevaluations(
  store: Store,
  { integrations }: Pick<Configuration, 'integrations'>,
  connectors: ConnectorRegistry,
): Promise<readonly StreamReevaluation[]> {
  const found = Object.entries(integrations).map(async ([integration, config]): Promise<readonly StreamReevaluation[]> => {
    const connector = connectors.get(config.connector);
    if (!connector) return [];
    const markers = await readMarkers(store, integration);
    return Object.keys(config.streams).flatMap((stream) => {
      const stored = markers.get(stream);
      const needed = stored && reevaluation(stored, declaredStream(connector, { integration, config }, stream).basis);
      return needed === undefined || needed.needs === 'nothing' ? [] : [{ integration, stream, ...needed }];
    });
  });
  return (await Promise.all(found)).flat();
}

async function spacingOf(store: Store, configuration: Configuration): Promise<ApplyPlan['spacing']> {
  const advice = [...subjectsOf(configuration)].map(async ([integration, { schedules }]) =>
    adviseSpacing(schedules, await readMeasuredRuns(store, integration)).map((found) => ({ integration, ...found })),
  );
  return (await Promise.all(advice)).flat();
}
