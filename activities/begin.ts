import { activityInfo } from '@temporalio/activity';
import type { Session, StreamDeclaration } from '../connectors/connector.ts';
import { mappingVersion, streamFingerprint } from '../model/config/fingerprint.ts';
import type { IntegrationConfig } from '../model/config/types.ts';
import { formatDuration } from '../model/duration.ts';
import { TidemarkFailure } from '../model/failure.ts';
import type { HeldKind, Mode, RunPlan, StreamPlan, SyncRequest } from '../model/run.ts';
import { defaultCompleteEveryMs } from '../model/schedules.ts';
import { claimIntegration, type GrantedClaim } from '../store/claims.ts';
import { readMarkers, type StreamMarker } from '../store/markers.ts';
import { arrivalsPending } from '../store/sql/arrivals.ts';
import { retriesAsked } from '../store/sql/quarantine.ts';
import type { Dependencies } from './dependencies.ts';
import { checkSource, connectorOf, openSource, streamOf } from './source.ts';
import { step } from './step.ts';
import { takeUpPlan } from './take-up-plan.ts';

/**
 * Claims the integration, checks the source, takes the next markers before anything is read, and settles for each stream how it is read
 * and why.
 */
export function begin(deps: Dependencies) {
  return (request: SyncRequest): Promise<RunPlan> => {
    let unreachableLimitMs = Number.POSITIVE_INFINITY;
    return step(
      'begin',
      () => unreachableLimitMs,
      async ({ signal, waiting }) => {
        const { integration } = request;
        const { claim, configId } = await claimForRun(deps, request);
        const config = await deps.configuration(configId);
        unreachableLimitMs = config.unreachableLimitMs;
        const approved = request.mode === 'approve' ? await takeUpPlan(deps, claim, request) : undefined;
        const names = approved ? [approved.stream] : (request.streams ?? Object.keys(config.streams));
        for (const name of names) streamOf(config, integration, name);
        const markers = await readMarkers(deps.store, integration);
        await using session = await openPreferred(deps, { integration, config, names, markers, signal, waiting });
        await checkSource(session, integration);
        const streams = await planStreams(deps, { request, config, names, markers, session });
        const mode: Mode = streams.some((stream) => stream.mode === 'complete') ? 'complete' : 'delta';
        const reason =
          approved?.reason ?? [...new Set(streams.filter((stream) => stream.mode === mode).map((stream) => stream.reason))].join('; ');
        await deps.store.pool.query(`update tidemark.sync_run set mode = $2, reason = $3 where id = $1`, [
          claim.runId,
          approved ? null : mode,
          reason,
        ]);
        return {
          claim,
          configId,
          connectorType: config.connector,
          mode,
          reason,
          server: session.server,
          streams,
          dryRun: request.dryRun ?? false,
          retries: !approved && (await hasRetries(deps, integration, config, names)),
          ...(approved
            ? { approval: { digest: approved.digest, what: approved.what }, ...stepsOfApproval(config, approved.what) }
            : enabledSteps(config, mode)),
        };
      },
    );
  };
}

/** Whether something must be read again by id whatever the listings bring. */
async function hasRetries(
  deps: Dependencies,
  integration: string,
  { steps }: IntegrationConfig,
  names: readonly string[],
): Promise<boolean> {
  const { pool } = deps.store;
  if (await retriesAsked(pool, integration, names)) return true;
  const settles = steps.lookup.enabled && steps.upsert.enabled && steps.membership.enabled;
  return settles && (await arrivalsPending(pool, integration, names));
}

interface PlanContext {
  readonly integration: string;
  readonly config: IntegrationConfig;
  readonly names: readonly string[];
  readonly markers: ReadonlyMap<string, StreamMarker>;
  readonly signal: AbortSignal;
  readonly waiting: (forWhat: string) => void;
}

/** Markers are worth most on the server they were taken from; only if that one can't serve, another is read, and then completely. */
async function openPreferred(deps: Dependencies, { integration, config, names, markers, signal, waiting }: PlanContext): Promise<Session> {
  const options = { integration, config, streams: names, signal, waiting };
  const preferred = names.map((name) => markers.get(name)?.marker.server).find((server) => server !== undefined);
  if (!preferred) return openSource(deps, options);
  try {
    return await openSource(deps, { ...options, server: preferred });
  } catch (error) {
    if (error instanceof TidemarkFailure && error.type === 'ServerChanged') return openSource(deps, options);
    throw error;
  }
}

interface StreamPlanContext {
  readonly request: SyncRequest;
  readonly config: IntegrationConfig;
  readonly names: readonly string[];
  readonly markers: ReadonlyMap<string, StreamMarker>;
  readonly session: Session;
}

async function planStreams(deps: Dependencies, context: StreamPlanContext): Promise<readonly StreamPlan[]> {
  const { request, config, names, markers, session } = context;
  const connector = connectorOf(deps, request.integration, config);
  const blocks = Object.fromEntries(Object.entries(config.streams).map(([name, stream]) => [name, stream.settings]));
  const declarations = new Map(connector.streams(config.settings, blocks).map((declaration) => [declaration.name, declaration]));
  const plans: StreamPlan[] = [];
  for (const [index, name] of names.entries()) {
    const stream = streamOf(config, request.integration, name);
    const declaration = declarations.get(name) as StreamDeclaration;
    const next = await session.mark(name);
    const fingerprint = streamFingerprint({
      connectorType: connector.type,
      connectorVersion: connector.version,
      query: declaration.query,
      stream,
      steps: config.steps,
    });
    const stored = markers.get(name);
    const judged = await judge({ request, config, declaration, session, fingerprint, stored });
    plans.push({
      stream: name,
      index,
      ...judged,
      stored: stored ? { marker: stored.marker, version: stored.version } : null,
      next,
      fingerprint,
      mappingVersion: mappingVersion(stream, config.steps.transform.enabled),
    });
  }
  return plans;
}

interface JudgeContext {
  readonly request: SyncRequest;
  readonly config: IntegrationConfig;
  readonly declaration: StreamDeclaration;
  readonly session: Session;
  readonly fingerprint: string;
  readonly stored: StreamMarker | undefined;
}

type Judgement = Pick<StreamPlan, 'mode' | 'reason' | 'compared'>;

/** The one place where the mode of a stream is decided. An invalid marker never becomes an empty delta. */
async function judge({ request, config, declaration, session, fingerprint, stored }: JudgeContext): Promise<Judgement> {
  if (request.mode === 'approve') return { mode: 'delta', reason: 'only what was approved is read', compared: false };
  const doubt = await doubtAbout({ declaration, session, fingerprint, stored });
  if (request.mode === 'complete') return { mode: 'complete', reason: 'a complete sync was requested', compared: doubt === undefined };
  if (doubt !== undefined || stored === undefined) return { mode: 'complete', reason: doubt ?? '', compared: false };
  if (request.mode === 'auto') {
    const everyMs =
      request.completeEveryMs ??
      config.schedules.find((schedule) => schedule.completeEveryMs !== undefined)?.completeEveryMs ??
      defaultCompleteEveryMs;
    if (Date.now() - stored.completeAt.getTime() >= everyMs) {
      return { mode: 'complete', reason: `the last complete read is older than ${formatDuration(everyMs)}`, compared: true };
    }
  }
  return { mode: 'delta', reason: 'changes since the stored marker', compared: false };
}

/** Why the stream can't be read from the stored marker on; undefined if it can. */
async function doubtAbout({
  declaration,
  session,
  fingerprint,
  stored,
}: Omit<JudgeContext, 'request' | 'config'>): Promise<string | undefined> {
  if (!stored) return 'this stream has never been read completely';
  if (stored.fingerprint !== fingerprint) return 'the query, mapping, steps or connector version changed since the marker was taken';
  if (declaration.delta === 'none') return declaration.misses[0] ?? 'this stream can only be read completely';
  const verdict = await session.judge(declaration.name, stored.marker);
  return verdict.valid ? undefined : `the marker is not valid: ${verdict.reason}`;
}

/** The claim of this workflow's run. */
export function claimForRun(deps: Dependencies, request: SyncRequest): Promise<GrantedClaim> {
  const { workflowExecution, currentAttemptScheduledTimestampMs } = activityInfo();
  if (!workflowExecution) throw new Error('a run begins in a workflow only');
  const { workflowId, runId } = workflowExecution;
  return claimIntegration(
    deps.store.pool,
    { request, workflowId, temporalRunId: runId, begunAt: new Date(currentAttemptScheduledTimestampMs) },
    async (temporalRunId) => (await deps.temporal.workflow.getHandle(workflowId, temporalRunId).describe()).status.name === 'RUNNING',
  );
}

/** An approval is asked for by a person: the step that it needs runs even where it is disabled for syncs. No marker moves. */
function stepsOfApproval(config: IntegrationConfig, what: HeldKind): Pick<RunPlan, 'steps' | 'skipped'> {
  const { transform, lookup, upsert } = config.steps;
  return {
    steps: {
      query: false,
      transform: transform.enabled,
      lookup: lookup.enabled || what === 'members',
      upsert: upsert.enabled,
      membership: what === 'members',
      cleanup: what === 'objects',
    },
    skipped: {},
  };
}

function enabledSteps(config: IntegrationConfig, mode: Mode): Pick<RunPlan, 'steps' | 'skipped'> {
  const { steps } = config;
  const skipped: Record<string, string> = {};
  for (const [name, { enabled }] of Object.entries(steps)) if (!enabled) skipped[name] = 'disabled in the configuration';
  if (steps.membership.enabled && !steps.lookup.enabled) skipped.membership = 'lookup is disabled: references are not resolved';
  else if (steps.membership.enabled && !steps.membership.delta && mode === 'delta') {
    skipped.membership = 'memberships are left to complete syncs (steps.membership.delta is false)';
  }
  return {
    steps: {
      query: steps.query.enabled,
      transform: steps.transform.enabled,
      lookup: steps.lookup.enabled,
      upsert: steps.upsert.enabled,
      membership: skipped.membership === undefined,
      cleanup: steps.cleanup.enabled,
    },
    skipped,
  };
}
