import type { Mode, Outcome } from '../model/run.ts';
import { adviseSpacing, type SpacingAdvice } from '../model/spacing.ts';
import { identitiesName } from '../model/workflow-ids.ts';
import { currentSubjects } from './apply-configuration.ts';
import { HeldDeletion } from './entities/held-deletion.ts';
import { Quarantined } from './entities/quarantine.ts';
import { readMarkers } from './markers.ts';
import { readMeasuredRuns } from './read-measured-runs.ts';
import { readSourceUse, type SourceUse } from './source-sessions.ts';
import type { Store } from './store.ts';

export interface RunMention {
  readonly id: string;
  readonly mode: Mode | null;
  readonly outcome: Outcome | 'running';
  /** ISO 8601, UTC; null while it runs. */
  readonly finishedAt: string | null;
}

/** What the database knows of one integration. */
export interface IntegrationOverview {
  readonly integration: string;
  readonly connector: string;
  /** The newest sync that was neither skipped nor dry. */
  readonly lastRun: RunMention | null;
  readonly lastSuccess: RunMention | null;
  readonly streams: Readonly<Record<string, StreamOverview>>;
  /** Deletions that wait for approval. */
  readonly held: number;
  /** `identities`: objects that wait for a person to decide whose they are. */
  readonly ambiguous: number;
  readonly quarantined: number;
  /** Sessions with its source that it has open or waits for; null where the source has no limit. */
  readonly sessions: { readonly source: string; readonly open: number; readonly waiting: number } | null;
  /** Where its schedules are too close for what its runs take. */
  readonly spacing: readonly SpacingAdvice[];
  /** What the newest run that compared found missed by deltas; null if none has compared yet. */
  readonly drift: { readonly run: string; readonly differences: number } | null;
}

export interface StreamOverview {
  /** Current objects. */
  readonly objects: number;
  readonly marker: MarkerOverview | null;
}

/** A stored marker as people see it; times are ISO 8601, UTC. */
export interface MarkerOverview {
  readonly kind: string;
  readonly position: string;
  readonly server: string;
  readonly takenAt: string;
  readonly ageSeconds: number;
  /** When the last complete read of the stream began. */
  readonly completeAt: string;
  /** The run that stored it. */
  readonly run: string;
}

/** All integrations of the stored configuration, by name, and the identities if there are rules for them. */
export async function readOverview(store: Store): Promise<readonly IntegrationOverview[]> {
  const configurations = await currentSubjects(store);
  const { rows: counts } = await store.pool.query<{ integration_id: string; stream: string; count: number }>(
    `select integration_id, stream, count(*)::int as count from tidemark.object where deleted_at is null group by integration_id, stream
     union all
     select $1, $1, count(*)::int from tidemark.identity where ended_at is null`,
    [identitiesName],
  );
  const uses = await readSourceUse(store.pool);
  return Promise.all(
    [...configurations]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(async ([integration, config]): Promise<IntegrationOverview> => {
        const markers = await describeMarkers(store, integration);
        const em = store.orm.em.fork();
        return {
          integration,
          connector: config.connector,
          lastRun: await newestRun(store, integration, ['running', 'succeeded', 'failed', 'cancelled']),
          lastSuccess: await newestRun(store, integration, ['succeeded']),
          streams: Object.fromEntries(
            Object.keys(config.streams).map((stream) => [
              stream,
              {
                objects: counts.find((row) => row.integration_id === integration && row.stream === stream)?.count ?? 0,
                marker: markers[stream] ?? null,
              },
            ]),
          ),
          held: await em.count(HeldDeletion, { integrationId: integration }),
          ambiguous: integration === identitiesName ? await countAmbiguous(store) : 0,
          quarantined: await em.count(Quarantined, { integrationId: integration }),
          sessions: !('source' in config) || config.source === undefined ? null : sessionsOf(uses, integration, config.source.name),
          spacing: adviseSpacing(config.schedules, await readMeasuredRuns(store, integration)),
          drift: await newestDrift(store, integration),
        };
      }),
  );
}

async function countAmbiguous({ pool }: Store): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from tidemark.identity_object where state = 'ambiguous'`,
  );
  return rows[0]?.count ?? 0;
}

function sessionsOf(uses: readonly SourceUse[], integration: string, source: string): IntegrationOverview['sessions'] {
  const use = uses.find((each) => each.integration === integration && each.source === source);
  return { source, open: use?.open ?? 0, waiting: use?.waiting ?? 0 };
}

/** The stored markers of an integration, by stream. */
export async function describeMarkers(store: Store, integration: string): Promise<Readonly<Record<string, MarkerOverview>>> {
  const markers = await readMarkers(store, integration);
  return Object.fromEntries(
    [...markers].map(([stream, { marker, completeAt, runId }]) => [
      stream,
      {
        kind: marker.kind,
        position: marker.position,
        server: marker.server.name,
        takenAt: marker.takenAt,
        ageSeconds: Math.max(0, Math.round((Date.now() - Date.parse(marker.takenAt)) / 1_000)),
        completeAt: completeAt.toISOString(),
        run: runId,
      },
    ]),
  );
}

async function newestDrift(store: Store, integration: string): Promise<IntegrationOverview['drift']> {
  const { rows } = await store.pool.query<{ run: string; differences: number }>(
    `select r.id as run,
            (select coalesce(sum((w.value ->> 'objects')::int), 0)::int
               from jsonb_each(r.drift) s cross join lateral jsonb_each(s.value) w) as differences
       from tidemark.sync_run r
      where r.integration_id = $1 and r.drift is not null and not r.dry_run order by r.id desc limit 1`,
    [integration],
  );
  return rows[0] ?? null;
}

async function newestRun(store: Store, integration: string, outcomes: readonly string[]): Promise<RunMention | null> {
  const { rows } = await store.pool.query<{ id: string; mode: Mode | null; outcome: Outcome | 'running'; finished_at: Date | null }>(
    `select id, mode, outcome, finished_at from tidemark.sync_run
      where integration_id = $1 and outcome = any($2) and requested_mode not in ('approve', 'decline') and not dry_run order by id desc limit 1`,
    [integration, outcomes],
  );
  const run = rows[0];
  return run === undefined
    ? null
    : { id: run.id, mode: run.mode, outcome: run.outcome, finishedAt: run.finished_at?.toISOString() ?? null };
}
