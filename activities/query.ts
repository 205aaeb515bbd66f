import type { ReadEnd, Session } from '../connectors/connector.ts';
import type { IntegrationConfig } from '../model/config/types.ts';
import { TidemarkFailure } from '../model/failure.ts';
import type { Marker } from '../model/marker.ts';
import type { RunPlan, Staged, StreamPlan } from '../model/run.ts';
import type { StepAttempt } from '../store/fence.ts';
import { isStored } from '../store/sql/count-active.ts';
import { beginStaging } from '../store/sql/staging.ts';
import { stageTouched, stagingWriter } from '../store/staging-writer.ts';
import { eachAhead } from './ahead.ts';
import type { Dependencies } from './dependencies.ts';
import { connectorOf, hashingOf, inIntegration, mappingOf, openSource, streamOf } from './source.ts';
import { attemptsOf, type StepContext, step } from './step.ts';

const streamSeqRange = 2 ** 40;

/**
 * The number of the first row that a part of a run stages of a stream. What is read wins over what is stored, what is read again by id over
 * both: of one object the row with the highest number counts.
 */
export function firstSeqOf({ index }: StreamPlan, part: 'stored' | 'read' | 'reread'): number {
  return streamSeqRange * (index + { stored: 0, read: 0.25, reread: 0.5 }[part]);
}

export interface QueryRequest {
  readonly plan: RunPlan;
  /** At least one. */
  readonly streams: readonly string[];
}

/**
 * Reads streams, one after another in one session, each completely or what changed since its marker, and stages them, mapped while the source
 * prepares the next page. A retry reads all of them again from the start: its rows alone count.
 */
export function query(deps: Dependencies) {
  return async ({ plan, streams }: QueryRequest): Promise<readonly Staged[]> => {
    const config = await deps.configuration(plan.configId);
    return step('query', config.unreachableLimitMs, async (context) => {
      const { integration } = plan.claim;
      if (plan.server === null) throw new Error('nothing is to be read');
      const attempts = await attemptsOf(
        deps,
        plan.claim,
        streams.map((stream) => `query/${stream}`),
      );
      await beginStaging(deps.store.pool, attempts, ['staged_item', 'staged_seen', 'staged_link', 'staged_mapping', 'staged_touched']);
      await using session = await openSource(deps, { integration, config, streams, server: plan.server, ...context });
      const staged: Staged[] = [];
      for (const [index, stream] of streams.entries()) {
        staged.push(await readStream({ deps, config, plan, stream, attempt: attempts[index] as StepAttempt, session, context }));
      }
      return staged;
    });
  };
}

interface StreamReading {
  readonly deps: Dependencies;
  readonly config: IntegrationConfig;
  readonly plan: RunPlan;
  readonly stream: string;
  readonly attempt: StepAttempt;
  readonly session: Session;
  readonly context: StepContext;
}

async function readStream({ deps, config, plan, stream, attempt, session, context }: StreamReading): Promise<Staged> {
  const { integration } = plan.claim;
  const streamPlan = plan.streams.find((candidate) => candidate.stream === stream);
  if (!streamPlan) throw new Error(`stream ${stream} is not in the plan`);
  const { stored, next, mode } = streamPlan;
  if (next === null) throw new Error(`stream ${stream} is not to be read`);
  const writer = stagingWriter({
    pool: deps.store.pool,
    attempt,
    plan: streamPlan,
    firstSeq: firstSeqOf(streamPlan, 'read'),
    ...hashingOf(connectorOf(deps, integration, config), integration, config, stream),
    ...(plan.steps.transform ? { mapping: mappingOf(streamOf(config, integration, stream)) } : {}),
    creates: plan.creates && !(await isStored(deps.store.pool, integration, stream)),
  });
  const pages = mode === 'delta' && stored ? session.readChanges(stream, stored.marker, next) : session.readAll(stream, next);
  // What a record says, and whether it says anything, shows when it is staged.
  const named = (error: unknown) => {
    throw inIntegration(error, integration, stream);
  };
  let objects = 0;
  const end = await eachAhead(pages, async (items) => {
    await writer.write(items);
    objects += items.filter(({ kind }) => kind === 'object' || kind === 'record').length;
    context.progress(stream, objects);
  }).catch(named);
  if (mode === 'complete' || end.covers === 'listing') requireSeal(end, { plan, stream, objects });
  const { signal } = context;
  const compared =
    streamPlan.compared && stored !== null && (await compare({ deps, attempt, session, stream, since: stored.marker, signal }));
  return writer.finish({ sealed: end.covers === 'listing', exact: end.covers === 'listing' && end.exact === true, compared }).catch(named);
}

interface Comparison {
  readonly deps: Dependencies;
  readonly attempt: StepAttempt;
  readonly session: Session;
  readonly stream: string;
  readonly since: Marker;
  readonly signal: AbortSignal;
}

/**
 * Stages the ids that a delta from the marker to the end of the listing would have brought. Returns false where the source can't tell them:
 * the listing is proven all the same, and a complete read is what repairs a source whose changes can't be read.
 */
async function compare({ deps, attempt, session, stream, since, signal }: Comparison): Promise<boolean> {
  try {
    const changes = session.readChanges(stream, since, await session.mark(stream));
    for (;;) {
      const step = await changes.next();
      // A delta that lists everything misses nothing, and names what did not change too.
      if (step.done === true) return step.value.covers === 'changes';
      const ids = step.value.flatMap((item) => (item.kind === 'unmatched' ? item.ids : [item.id]));
      await stageTouched(deps.store.pool, attempt, ids);
    }
  } catch (error) {
    if (signal.aborted || !(error instanceof TidemarkFailure) || error.type === 'StaleRun') throw error;
    const { integration } = attempt.claim;
    deps.log.warn('The source can not tell what changed since the marker: the complete read counts, its drift is not known.', {
      integration,
      stream,
      failure: error.type,
      message: error.message,
    });
    return false;
  }
}

/** A complete read counts only with a seal of the run's own server over exactly the objects that came; without one nothing is absent. */
function requireSeal(end: ReadEnd, { plan, stream, objects }: Pick<StreamReading, 'plan' | 'stream'> & { readonly objects: number }): void {
  if (end.covers === 'listing' && end.seal.objects === objects && end.seal.server.id === plan.server?.id) return;
  const { integration } = plan.claim;
  throw new TidemarkFailure(
    'ListingIncomplete',
    `Integration ${integration}, stream ${stream}: the listing of ${objects} objects ended without proof that it was complete.`,
    { integration, stream, remedy: 'Nothing was deleted and no marker moved. If it happens again, report it with the connector.' },
  );
}
