import type { RunPlan, Staged, StreamPlan } from '../model/run.ts';
import { fenced } from '../store/fence.ts';
import { askForRetry } from '../store/sql/quarantine.ts';
import { type StagedPage, stageStored } from '../store/sql/stage-stored.ts';
import { beginStaging } from '../store/sql/staging.ts';
import type { Dependencies } from './dependencies.ts';
import { firstSeqOf } from './query.ts';
import { attemptOf, step } from './step.ts';

export interface RemapRequest {
  readonly plan: RunPlan;
  readonly stream: string;
}

/** Records staged in one transaction. */
const pageSize = 5_000;

/**
 * Stages the source records of one stream that are stored with attributes of another mapping; the steps that follow map them as if they had
 * been read. Of quarantined items no record is stored that could be trusted: the next read is asked to bring them.
 */
export function remap(deps: Dependencies) {
  return async ({ plan, stream }: RemapRequest): Promise<Staged> => {
    const config = await deps.configuration(plan.configId);
    return step('remap', config.unreachableLimitMs, async ({ signal, progress }) => {
      const { pool } = deps.store;
      const { integration } = plan.claim;
      const attempt = await attemptOf(deps, plan.claim, `remap/${stream}`);
      await beginStaging(pool, [attempt], ['staged_item']);
      const streamPlan = plan.streams.find((candidate) => candidate.stream === stream) as StreamPlan;
      let staged = 0;
      let page: StagedPage = { rows: pageSize, last: null };
      while (page.rows === pageSize) {
        signal.throwIfAborted();
        const { last } = page;
        const firstSeq = firstSeqOf(streamPlan, 'stored') + staged;
        page = await fenced(pool, attempt, 'shared', (client) =>
          stageStored(client, attempt, { stream: streamPlan, firstSeq, after: last, size: pageSize }),
        );
        staged += page.rows;
        progress(stream, staged);
      }
      if (!plan.dryRun) await fenced(pool, attempt, 'shared', (client) => askForRetry(client, { integration, stream }));
      const nothingRead = { links: 0, read: 0, unchanged: 0, created: 0, sealed: false, mapped: false, compared: false };
      return { stream, token: attempt.token, items: staged, news: staged, ...nothingRead };
    });
  };
}
