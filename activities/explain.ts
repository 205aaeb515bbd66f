import { mappingVersion } from '../model/config/basis.ts';
import { explainFacts, type SourceAnswer, traceMapping } from '../model/explanation.ts';
import { isTidemarkFailure, TidemarkFailure, tellFailure } from '../model/failure.ts';
import { type Found, type ItemLinks, objectOf } from '../model/item.ts';
import { Integration } from '../store/entities/integration.ts';
import { answerExplanation, type ExplainAnswer, type ExplainRequest, readExplainRequest } from '../store/explain-requests.ts';
import { findByKey, readStoredFacts } from '../store/sql/explain-object.ts';
import { isStandIn } from '../store/storable.ts';
import type { Dependencies } from './dependencies.ts';
import { openSource, streamOf } from './source.ts';
import { type StepContext, step } from './step.ts';

/**
 * Answers one question of `explain`: only a worker may reach the source. Question and answer are a row of the database, so that neither
 * comes into Temporal's history.
 */
export function explain(deps: Dependencies) {
  return (requestId: string): Promise<void> =>
    step('explain', 0, async (context) => {
      const { pool } = deps.store;
      const request = await readExplainRequest(pool, requestId);
      if (request === undefined) return;
      await answerExplanation(pool, requestId, await answer(deps, request, context));
    });
}

async function answer(deps: Dependencies, request: ExplainRequest, { signal, waiting }: StepContext): Promise<ExplainAnswer> {
  const { pool } = deps.store;
  const { integration, stream } = request;
  const row = await deps.store.orm.em.fork().findOne(Integration, { id: integration });
  if (!row?.configId) throw new TidemarkFailure('InvalidConfiguration', `There is no integration ${integration}.`, { integration });
  const config = await deps.configuration(row.configId);
  const block = streamOf(config, integration, stream);
  const ids = await findByKey(pool, request);
  if (ids.length > 1) return { outcome: 'ambiguous', ids };
  const sourceId = ids[0] ?? request.key;
  const { source, links } = await askSource();
  const stored = await readStoredFacts(pool, request, sourceId, mappingVersion(block, config.steps.transform.enabled), links);
  if (ids.length === 0 && (source.kind === 'unknown' || source.kind === 'unreachable'))
    return { outcome: 'unknown', reason: source.reason };
  const trace =
    source.kind === 'found'
      ? traceMapping(block, { id: sourceId, key: source.key, source: source.attributes }, stored.stored?.attributes ?? null)
      : null;
  return { outcome: 'explained', explanation: explainFacts({ integration, stream, sourceId, source, trace, ...stored }) };

  async function askSource(): Promise<{ source: SourceAnswer; links: Readonly<Record<string, readonly string[]>> | null }> {
    if (isStandIn(sourceId)) {
      return { source: { kind: 'unknown', reason: 'its real id is not stored, so it cannot be asked for.' }, links: null };
    }
    try {
      await using session = await openSource(deps, { integration, config, streams: [stream], signal, waiting });
      const found = (await session.readByIds(stream, [sourceId])).get(sourceId) ?? { kind: 'unknown', reason: 'it did not mention it.' };
      if (found.kind !== 'found') return { source: found, links: null };
      const { key = null, attributes, links } = objectOf(found.item);
      return { source: { kind: 'found', key, attributes }, links: allLinks(links, found.more) };
    } catch (error) {
      if (!isTidemarkFailure(error)) throw error;
      return { source: { kind: 'unreachable', reason: tellFailure(error) }, links: null };
    }
  }
}

function allLinks(
  whole: ItemLinks = {},
  slices: Extract<Found, { kind: 'found' }>['more'] = [],
): Readonly<Record<string, readonly string[]>> {
  const links: Record<string, string[]> = Object.fromEntries(Object.entries(whole).map(([kind, targets]) => [kind, [...targets]]));
  for (const { link, targets } of slices) links[link] = (links[link] ?? []).concat(targets);
  return links;
}
