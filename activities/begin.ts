import { activityInfo } from '@temporalio/activity';
import type { Session, StreamDeclaration } from '../connectors/connector.ts';
import { type Reevaluation, reevaluation, type StreamBasis } from '../model/config/basis.ts';
import type { IntegrationConfig, ScheduleConfig } from '../model/config/types.ts';
import { formatDuration } from '../model/duration.ts';
import { TidemarkFailure } from '../model/failure.ts';
import type { Claim, HeldKind, Mode, RunPlan, StreamPlan, SyncRequest } from '../model/run.ts';
import { defaultCompleteEveryMs } from '../model/schedules.ts';
import { claimIntegration, type GrantedClaim } from '../store/claims.ts';
import { readMarkers, type StreamMarker } from '../store/markers.ts';
import { arrivalsPending } from '../store/sql/arrivals.ts';
import { isStored } from '../store/sql/count-active.ts';
import { retriesAsked } from '../store/sql/quarantine.ts';
import type { Dependencies } from './dependencies.ts';
import { checkSource, connectorOf, declaredStream, openSource, streamOf } from './source.ts';
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
        if (request.mode === 'remap') return planRemap(deps, { request, claim, configId, config });
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
          creates: !approved && request.dryRun !== true && (await createsWhileReading(deps, integration, config, streams)),
          retries: !approved && (streams.some(({ remaps }) => remaps) || (await hasRetries(deps, integration, config, names))),
          ...(approved
            ? { approval: { digest: approved.digest, what: approved.what }, ...stepsOfApproval(config, approved.what) }
            : enabledSteps(config, mode)),
        };
      },
    );
  };
}

/** A first read has nothing to be compared with: unless a step that it would pass over is disabled, what it brings can be stored at once. */
async function createsWhileReading(
  deps: Dependencies,
  integration: string,
  { steps }: IntegrationConfig,
  streams: readonly StreamPlan[],
): Promise<boolean> {
  if (!(steps.transform.enabled && steps.lookup.enabled && steps.upsert.enabled)) return false;
  return streams.every(({ mode }) => mode === 'complete') && !(await isStored(deps.store.pool, integration));
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
  const plans: StreamPlan[] = [];
  for (const [index, name] of names.entries()) {
    const next = await session.mark(name);
    const { declaration, basis } = declaredStream(connector, { integration: request.integration, config }, name);
    const stored = markers.get(name);
    const judged = await judge({ request, config, declaration, session, basis, stored });
    plans.push({
      stream: name,
      index,
      ...judged,
      stored: stored ? { marker: stored.marker, version: stored.version } : null,
      next: config.steps.query.enabled && request.mode !== 'approve' ? next : null,
      ...basis,
    });
  }
  return plans;
}

interface RemapContext {
  readonly request: SyncRequest;
  readonly claim: Claim;
  readonly configId: string;
  readonly config: IntegrationConfig;
}

/** The plan of a run that reads nothing: what is stored is mapped anew. Fails with `InvalidConfiguration` where that is not enough. */
async function planRemap(deps: Dependencies, { request, claim, configId, config }: RemapContext): Promise<RunPlan> {
  const { integration } = request;
  const names = request.streams ?? Object.keys(config.streams);
  const markers = await readMarkers(deps.store, integration);
  const connector = connectorOf(deps, integration, config);
  const reason = 'what is stored is mapped anew';
  const streams = names.map((name, index): StreamPlan => {
    const { basis } = declaredStream(connector, { integration, config }, name);
    const stored = markers.get(name);
    const needed = stored ? reevaluation(stored, basis) : undefined;
    if (stored === undefined || stored.fingerprint !== basis.fingerprint) {
      const why = needed?.needs === 'complete' ? needed.why : 'it has no marker: it was never read completely, or its marker was reset';
      throw new TidemarkFailure(
        'InvalidConfiguration',
        `Integration ${integration}, stream ${name} can't be mapped from what is stored: ${why}.`,
        {
          integration,
          stream: name,
          remedy: `Read it: tidemark sync ${integration} --mode complete --streams ${name}`,
        },
      );
    }
    // What a changed include lets in is not stored: the marker keeps the old one, and the next read is complete.
    const next = stored.scope === basis.scope ? stored.marker : null;
    return {
      stream: name,
      index,
      mode: 'delta',
      reason,
      compared: false,
      remaps: true,
      stored: { marker: stored.marker, version: stored.version },
      next,
      ...basis,
    };
  });
  await deps.store.pool.query(`update tidemark.sync_run set reason = $2 where id = $1`, [claim.runId, reason]);
  const { steps, skipped } = enabledSteps(config, 'delta');
  return {
    claim,
    configId,
    connectorType: config.connector,
    mode: 'delta',
    reason,
    server: null,
    streams,
    dryRun: request.dryRun ?? false,
    creates: false,
    retries: false,
    steps: { ...steps, query: false, membership: false },
    skipped: { ...skipped, query: 'a remap reads nothing', membership: 'a remap changes no links' },
  };
}

interface JudgeContext {
  readonly request: SyncRequest;
  readonly config: IntegrationConfig;
  readonly declaration: StreamDeclaration;
  readonly session: Session;
  readonly basis: StreamBasis;
  readonly stored: StreamMarker | undefined;
}

type Judgement = Pick<StreamPlan, 'mode' | 'reason' | 'compared' | 'remaps'>;

/** The one place where the mode of a stream is decided. An invalid marker never becomes an empty delta. */
async function judge({ request, config, declaration, session, basis, stored }: JudgeContext): Promise<Judgement> {
  if (request.mode === 'approve') return { mode: 'delta', reason: 'only what was approved is read', compared: false, remaps: false };
  const complete = (reason: string, compared: boolean): Judgement => ({ mode: 'complete', reason, compared, remaps: false });
  const needed = stored && reevaluation(stored, basis);
  const doubt = await doubtAbout({ declaration, session, needed, stored });
  if (request.mode === 'complete') return complete('a complete sync was requested', doubt === undefined && needed?.needs === 'nothing');
  if (doubt !== undefined || stored === undefined) return complete(doubt ?? '', false);
  const remap = needed?.needs === 'remap' ? needed : undefined;
  const due = request.mode === 'auto' ? completeDueReason(request, config.schedules, stored.completeAt) : undefined;
  if (due !== undefined) return complete(due, remap === undefined);
  const reason = `changes since the stored marker${remap ? `; what is stored is mapped anew: ${remap.why}` : ''}`;
  return { mode: 'delta', reason, compared: false, remaps: remap !== undefined };
}

/** Why a request of mode auto becomes a complete one, if it does: the last one began too long ago. */
export function completeDueReason(
  { completeEveryMs }: SyncRequest,
  schedules: readonly ScheduleConfig[],
  completeAt: Date,
): string | undefined {
  const everyMs =
    completeEveryMs ?? schedules.find((schedule) => schedule.completeEveryMs !== undefined)?.completeEveryMs ?? defaultCompleteEveryMs;
  return Date.now() - completeAt.getTime() >= everyMs ? `the last complete read is older than ${formatDuration(everyMs)}` : undefined;
}

/** Why the stream can't be read from the stored marker on; undefined if it can. */
async function doubtAbout({
  declaration,
  session,
  needed,
  stored,
}: Pick<JudgeContext, 'declaration' | 'session' | 'stored'> & { readonly needed: Reevaluation | undefined }): Promise<string | undefined> {
  if (!stored) return 'this stream has never been read completely';
  if (needed?.needs === 'complete') return needed.why;
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
