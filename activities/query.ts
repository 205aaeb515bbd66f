import type { ReadEnd, Session } from '../connectors/connector.ts';
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
import { attemptOf, step } from './step.ts';

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
  readonly stream: string;
}

/**
 * Reads one stream, completely or what changed since its marker, and stages it, mapped while the source prepares the next page. A retry reads
 * again from the start: its rows alone count.
 */
export function query(deps: Dependencies) {
  return async ({ plan, stream }: QueryRequest): Promise<Staged> => {
    const config = await deps.configuration(plan.configId);
    return step('query', config.unreachableLimitMs, async ({ signal, waiting, progress }) => {
      const { integration } = plan.claim;
      const streamPlan = plan.streams.find((candidate) => candidate.stream === stream);
      if (!streamPlan) throw new Error(`stream ${stream} is not in the plan`);
      const attempt = await attemptOf(deps, plan.claim, `query/${stream}`);
      await beginStaging(deps.store.pool, attempt, ['staged_item', 'staged_link', 'staged_mapping', 'staged_touched']);
      const writer = stagingWriter({
        pool: deps.store.pool,
        attempt,
        plan: streamPlan,
        firstSeq: firstSeqOf(streamPlan, 'read'),
        ...hashingOf(connectorOf(deps, integration, config), integration, config, stream),
        ...(plan.steps.transform ? { mapping: mappingOf(streamOf(config, integration, stream)) } : {}),
        creates: plan.creates && !(await isStored(deps.store.pool, integration, stream)),
      });
      const { stored, next, mode } = streamPlan;
      if (next === null || plan.server === null) throw new Error(`stream ${stream} is not to be read`);
      await using session = await openSource(deps, { integration, config, streams: [stream], signal, waiting, server: plan.server });
      const pages = mode === 'delta' && stored ? session.readChanges(stream, stored.marker, next) : session.readAll(stream, next);
      // What a record says, and whether it says anything, shows when it is staged.
      const named = (error: unknown) => {
        throw inIntegration(error, integration, stream);
      };
      let objects = 0;
      const end = await eachAhead(pages, async (items) => {
        await writer.write(items);
        objects += items.filter(({ kind }) => kind === 'object' || kind === 'record').length;
        progress(stream, objects);
      }).catch(named);
      if (mode === 'complete' || end.covers === 'listing') requireSeal(end, { plan, stream, objects });
      const compared =
        streamPlan.compared && stored !== null && (await compare({ deps, attempt, session, stream, since: stored.marker, signal }));
      return writer
        .finish({ sealed: end.covers === 'listing', exact: end.covers === 'listing' && end.exact === true, compared })
        .catch(named);
    });
  };
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
function requireSeal(end: ReadEnd, { plan, stream, objects }: QueryRequest & { readonly objects: number }): void {
  if (end.covers === 'listing' && end.seal.objects === objects && end.seal.server.id === plan.server?.id) return;
  const { integration } = plan.claim;
  throw new TidemarkFailure(
    'ListingIncomplete',
    `Integration ${integration}, stream ${stream}: the listing of ${objects} objects ended without proof that it was complete.`,
    { integration, stream, remedy: 'Nothing was deleted and no marker moved. If it happens again, report it with the connector.' },
  );
}
