import type { InferEntity } from '@mikro-orm/core';
import type { Drift, RunSummary } from '../model/run.ts';
import { SyncRun } from './entities/sync-run.ts';
import type { StoredDrift } from './sql/read-drift.ts';
import type { Store } from './store.ts';

/** One run as people and programs see it; undefined if there is none of this number. */
export async function findRun(store: Store, id: string): Promise<RunSummary | undefined> {
  const run = await store.orm.em.fork().findOne(SyncRun, { id });
  return run ? summarise(run) : undefined;
}

/** The run of one execution of `syncIntegration`, by Temporal's run id. */
export async function findRunOfWorkflow(store: Store, temporalRunId: string): Promise<RunSummary | undefined> {
  const run = await store.orm.em.fork().findOne(SyncRun, { temporalRunId });
  return run ? summarise(run) : undefined;
}

/** The newest runs first; of one integration or of all. */
export async function listRuns(
  store: Store,
  filter: { readonly integration?: string; readonly limit: number },
): Promise<readonly RunSummary[]> {
  const where = filter.integration === undefined ? {} : { integrationId: filter.integration };
  const runs = await store.orm.em.fork().find(SyncRun, where, { orderBy: { id: 'desc' }, limit: filter.limit });
  return runs.map(summarise);
}

/** The requests that are being carried out: the launchers of open runs. */
export async function runningLaunchers(store: Store, integration: string): Promise<readonly string[]> {
  const runs = await store.orm.em.fork().find(SyncRun, { integrationId: integration, outcome: 'running' });
  return runs.flatMap(({ launcherId }) => launcherId ?? []);
}

type StoredRun = InferEntity<typeof SyncRun>;

function summarise(run: StoredRun): RunSummary {
  return {
    id: run.id,
    integration: run.integrationId,
    requestedMode: run.requestedMode,
    mode: run.mode ?? null,
    outcome: run.outcome,
    reason: run.reason ?? null,
    dryRun: run.dryRun,
    failure: run.failure ?? null,
    startedAt: run.startedAt.toISOString(),
    finishedAt: run.finishedAt?.toISOString() ?? null,
    sealed: run.sealed,
    streams: run.streams,
    links: { added: 0, removed: 0, held: 0, unresolved: 0, ...run.links },
    decision: run.decision ? { rows: null, ...run.decision } : null,
    drift: run.drift ? countsOf(run.drift) : null,
    steps: run.steps,
  };
}

function countsOf(drift: StoredDrift): Drift {
  return Object.fromEntries(
    Object.entries(drift).map(([stream, differences]) => [
      stream,
      Object.fromEntries(Object.entries(differences).map(([what, { objects }]) => [what, objects])),
    ]),
  );
}

/** What a run found that deltas had missed, with the ids of some of the objects; undefined if there is no such run. */
export async function findDrift(store: Store, id: string): Promise<StoredDrift | null | undefined> {
  return (await store.orm.em.fork().findOne(SyncRun, { id }))?.drift;
}
