import type { Session } from '../connectors/connector.ts';
import { activeThatSettle, judgePlan } from '../model/deletion-limits.ts';
import type { Item } from '../model/item.ts';
import { createdWhileRead, type RunPlan, type Staged, type StreamPlan } from '../model/run.ts';
import { fenced } from '../store/fence.ts';
import { countActive } from '../store/sql/count-active.ts';
import { countRecent } from '../store/sql/count-recent.ts';
import { takeRetries } from '../store/sql/quarantine.ts';
import { type RereadCandidates, rereadCandidates } from '../store/sql/reread-candidates.ts';
import { analyzeGrown, analyzeStaging, beginStaging, countStaged } from '../store/sql/staging.ts';
import { type RereadNews, type StagingWriter, stagingWriter } from '../store/staging-writer.ts';
import { isStandIn } from '../store/storable.ts';
import type { Dependencies } from './dependencies.ts';
import { firstSeqOf } from './query.ts';
import { connectorOf, hashingOf, inIntegration, openSource } from './source.ts';
import { attemptOf, step } from './step.ts';

export interface RereadRequest {
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
}

/** Objects asked for at once. */
const batchSize = 500;

/**
 * The end of the query step: reads by id whatever the listings leave in doubt, before anything is believed. Absent objects, objects that
 * changed and no longer match the filter, groups whose members have come back, and quarantined items that somebody asked to try again.
 * Absence beyond the limits is not read again: the cleanup step holds it. Nor is absence from a listing that is exact: nothing later is known of it.
 */
export function reread(deps: Dependencies) {
  return async ({ plan, staged }: RereadRequest): Promise<readonly Staged[]> => {
    const config = await deps.configuration(plan.configId);
    return step('reread', config.unreachableLimitMs, async ({ signal, waiting, progress }) => {
      const { integration } = plan.claim;
      const { pool } = deps.store;
      const attempt = await attemptOf(deps, plan.claim, 'reread');
      await countStaged(pool, plan, staged);
      await analyzeStaging(pool, staged);
      await analyzeGrown(pool, 'object', createdWhileRead(staged));
      const found = await fenced(pool, attempt, 'shared', async (client) => {
        const candidates = await rereadCandidates(client, plan, staged, config.steps.cleanup.action);
        const retries = plan.retries ? await takeRetries(client, plan, staged) : [];
        return candidates.map((of) => ({
          ...of,
          retries: retries.flatMap(({ stream, source_id: id }) => (stream === of.stream && !isStandIn(id) ? [id] : [])),
        }));
      });
      const open = found.filter(
        ({ absent, unmatched, referrers, retries }) => absent.length + unmatched.length + referrers.length + retries.length > 0,
      );
      if (open.length === 0) return [];
      await beginStaging(pool, [attempt], ['staged_item', 'staged_seen', 'staged_link']);
      await using session = await openSource(deps, {
        integration,
        config,
        streams: open.map(({ stream }) => stream),
        signal,
        waiting,
        ...(plan.server ? { server: plan.server } : {}),
      });
      const results: Staged[] = [];
      for (const candidates of open) {
        const streamPlan = plan.streams.find((candidate) => candidate.stream === candidates.stream) as StreamPlan;
        const writer = stagingWriter({
          pool,
          attempt,
          plan: streamPlan,
          firstSeq: firstSeqOf(streamPlan, 'reread'),
          ...hashingOf(connectorOf(deps, integration, config), integration, config, candidates.stream),
        });
        const read = await rereadStream({
          deps,
          session,
          plan,
          staged,
          candidates,
          writer,
          progress: (objects) => progress(candidates.stream, objects),
        }).catch((error: unknown) => {
          throw inIntegration(error, integration, candidates.stream);
        });
        // Links of a referrer may be resolved now although its list is unchanged.
        results.push({ ...read, news: read.news + candidates.referrers.length });
      }
      return results;
    });
  };
}

interface StreamReread {
  readonly deps: Dependencies;
  readonly session: Session;
  readonly plan: RunPlan;
  readonly staged: readonly Staged[];
  readonly candidates: RereadCandidates & { readonly retries: readonly string[] };
  readonly writer: StagingWriter;
  readonly progress: (objects: number) => void;
}

async function rereadStream({ deps, session, plan, staged, candidates, writer, progress }: StreamReread): Promise<Staged> {
  const { stream, absent, unmatched, referrers, retries } = candidates;
  const doubtful = new Set(unmatched);
  const gone = new Set<string>();
  if (plan.steps.cleanup && absent.length > 0) {
    const config = await deps.configuration(plan.configId);
    const { integration, runId } = plan.claim;
    const recent = await countRecent(deps.store.pool, integration, runId);
    const emptyListing = staged.every((part) => part.stream !== stream || part.read === 0);
    const removals = { candidates: absent.length, recent: recent(stream).objects, limits: config.steps.cleanup.limits };
    const enough = emptyListing ? undefined : activeThatSettle(removals);
    const active = await countActive(deps.store.pool, integration, stream, enough);
    const verdict = judgePlan({ ...removals, active, emptyListing });
    if (verdict.held) await writer.writeNews(absent.map((id) => ({ kind: 'absent', id, reason: verdict.reason })));
    else for (const id of absent) (staged.some((part) => part.stream === stream && part.exact) ? gone : doubtful).add(id);
    await writer.writeNews([...gone].map((id) => ({ kind: 'gone', id })));
  }
  const retried = new Set(retries);
  const ids = [...new Set([...doubtful, ...referrers, ...retried])].filter((id) => !gone.has(id));
  for (let start = 0; start < ids.length; start += batchSize) {
    const batch = ids.slice(start, start + batchSize);
    const answers = await session.readByIds(stream, batch);
    const items: Item[] = [];
    const news: RereadNews[] = [];
    for (const id of batch) {
      const answer = answers.get(id) ?? { kind: 'unknown', reason: 'the source did not mention it when it was asked by id' };
      if (answer.kind === 'found') items.push(answer.item, ...(answer.more ?? []));
      // A referrer that is no longer there is its own stream's news, with that stream's marker; here only its links were asked for.
      // No answer about a quarantined item says nothing new: it stays set aside, and what is stored of it is not in doubt.
      else if (doubtful.has(id) || (retried.has(id) && answer.kind !== 'unknown'))
        news.push({ kind: answer.kind, id, ...(answer.kind === 'unknown' ? { reason: answer.reason } : {}) });
    }
    await writer.write(items);
    await writer.writeNews(news);
    progress(start + batch.length);
  }
  return writer.finish({ sealed: false, compared: false });
}
