import type { Item } from '../model/item.ts';
import type { RunPlan, Staged, StreamPlan } from '../model/run.ts';
import { fenced } from '../store/fence.ts';
import { takeUpHeld } from '../store/sql/decide-held.ts';
import { beginStaging } from '../store/sql/staging.ts';
import { type RereadNews, stagingWriter } from '../store/staging-writer.ts';
import type { Dependencies } from './dependencies.ts';
import { firstSeqOf } from './query.ts';
import { checkSource, connectorOf, hashingOf, inIntegration, openSource } from './source.ts';
import { attemptOf, step } from './step.ts';

/** Objects asked for at once. */
const batchSize = 500;

/**
 * The reading of an approval: asks by id for what is about to be removed, the objects themselves or the groups of memberships. What is found
 * goes through the steps like any other object, and its row is withdrawn. An object that the source gives no answer about counts as absent
 * here, since a person has approved it; but only if the account has all its rights when the reading ends.
 */
export function readHeld(deps: Dependencies) {
  return async (plan: RunPlan): Promise<readonly Staged[]> => {
    const config = await deps.configuration(plan.configId);
    return step('read-held', config.unreachableLimitMs, async ({ signal, waiting, progress }) => {
      const { approval, claim, server, streams } = plan;
      const stream = streams[0] as StreamPlan;
      if (!approval || !server) throw new Error('only an approval reads held deletions');
      const { integration, runId } = claim;
      const { pool } = deps.store;
      const attempt = await attemptOf(deps, claim, 'read-held');
      const ids = await fenced(pool, attempt, 'exclusive', (client) => takeUpHeld(client, runId, approval.digest));
      if (ids.length === 0) return [];
      await beginStaging(pool, [attempt], ['staged_item', 'staged_seen', 'staged_link']);
      await using session = await openSource(deps, { integration, config, streams: [stream.stream], signal, waiting, server });
      const writer = stagingWriter({
        pool,
        attempt,
        plan: stream,
        firstSeq: firstSeqOf(stream, 'read'),
        ...hashingOf(connectorOf(deps, integration, config), integration, config, stream.stream),
      });
      const named = (error: unknown) => {
        throw inIntegration(error, integration, stream.stream);
      };
      for (let start = 0; start < ids.length; start += batchSize) {
        signal.throwIfAborted();
        const batch = ids.slice(start, start + batchSize);
        const answers = await session.readByIds(stream.stream, batch).catch(named);
        const items: Item[] = [];
        const news: RereadNews[] = [];
        for (const id of batch) {
          const answer = answers.get(id);
          if (answer?.kind === 'found') items.push(answer.item, ...(answer.more ?? []));
          else if (approval.what === 'objects')
            news.push({ id, kind: answer === undefined || answer.kind === 'unknown' ? 'absent' : answer.kind });
        }
        await writer.write(items).catch(named);
        await writer.writeNews(news).catch(named);
        progress(stream.stream, start + batch.length);
      }
      await checkSource(session, integration);
      return [await writer.finish({ sealed: false, compared: false }).catch(named)];
    });
  };
}
