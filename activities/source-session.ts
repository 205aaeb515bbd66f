import { setTimeout as delay } from 'node:timers/promises';
import { activityInfo } from '@temporalio/activity';
import type { SourceLimits } from '../model/config/types.ts';
import { TidemarkFailure } from '../model/failure.ts';
import { askForSession, giveSessionBack, keepSession, type SessionAsker, sessionLeaseMs } from '../store/source-sessions.ts';
import type { Dependencies } from './dependencies.ts';

/** A session that a source's limit allows. */
export interface GrantedSession extends AsyncDisposable {
  /** Aborted when the session counts no more: another may have its place. */
  readonly lost: AbortSignal;
}

export interface SessionRequest {
  readonly integration: string;
  readonly source: SourceLimits;
  readonly signal: AbortSignal;
  /** Told what is waited for. */
  readonly waiting: (forWhat: string) => void;
}

/** Who is next asks again this often. */
const askEveryMs = 200;
/** An attempt waits no longer than this, so that a worker that stops is not kept. */
const attemptMs = 20_000;
const keepEveryMs = sessionLeaseMs / 6;
const longestRetryMs = 20_000;

/**
 * Waits for a session with a source that has a limit. As many as may be open at once wait here; who is further behind fails with `SourceBusy`
 * and keeps its place in the line until the next attempt, so that a long line takes no places from other work.
 */
export async function takeSession(deps: Dependencies, request: SessionRequest): Promise<GrantedSession> {
  const { integration, source, signal } = request;
  const { workflowExecution, activityId, attempt } = activityInfo();
  const asker: SessionAsker = {
    source: source.name,
    maxSessions: source.maxSessions,
    integration,
    holder: `${workflowExecution?.runId}/${activityId}`,
    attempt,
  };
  const { pool } = deps.store;
  const began = Date.now();
  try {
    for (;;) {
      signal.throwIfAborted();
      const answer = await askForSession(pool, asker);
      if (answer.kind === 'granted') return keep(deps, asker, source);
      if (answer.kind === 'superseded') throw busy(source, 'a later attempt has its place', 0);
      const { behind } = answer;
      const state = `${source.maxSessions} of ${source.maxSessions} sessions are open, ${behind} ahead in the line`;
      request.waiting(`waits for a session with source ${source.name}: ${state}`);
      if (behind >= source.maxSessions) throw busy(source, state, Math.min(longestRetryMs, 1_000 * Math.ceil(behind / source.maxSessions)));
      if (Date.now() - began > attemptMs) throw busy(source, state, askEveryMs);
      await delay(askEveryMs, undefined, { signal });
    }
  } catch (error) {
    if (signal.aborted) await giveSessionBack(pool, asker).catch(() => undefined);
    throw error;
  }
}

function keep(deps: Dependencies, asker: SessionAsker, source: SourceLimits): GrantedSession {
  const { pool } = deps.store;
  const lost = new AbortController();
  let keptAt = performance.now();
  const timer = setInterval(() => {
    const asked = performance.now();
    keepSession(pool, asker)
      .then((kept) => {
        if (kept) keptAt = asked;
        else lost.abort(busy(source, 'this session was not heard of for too long', 0));
      })
      .catch(() => {
        // Without PostgreSQL nobody can take the place either, but when it is back others may be faster.
        if (performance.now() - keptAt > sessionLeaseMs) lost.abort(busy(source, 'PostgreSQL was away for too long', 0));
      });
  }, keepEveryMs);
  return {
    lost: lost.signal,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      // A lease that can't be given back ends by itself.
      await giveSessionBack(pool, asker).catch(() => undefined);
    },
  };
}

function busy(source: SourceLimits, why: string, retryAfterMs: number): TidemarkFailure {
  return new TidemarkFailure('SourceBusy', `It waits for a session with source ${source.name}: ${why}.`, {
    remedy: 'Nothing to do: it is tried again. If it waits too often, raise maxSessions of the source or space the schedules.',
    ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
  });
}
