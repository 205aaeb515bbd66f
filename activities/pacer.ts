import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const realClock: Clock = { now: () => performance.now(), sleep: (ms) => delay(ms) };

/**
 * Lets requests pass no closer together than the rate says, the first one included: a session that follows another one at once must not have
 * a request of its own for free.
 */
export function pacer(requestsPerSecond: number, clock: Clock = realClock): () => Promise<void> {
  const intervalMs = 1_000 / requestsPerSecond;
  let next = clock.now() + intervalMs;
  return async () => {
    const now = clock.now();
    const at = Math.max(now, next);
    next = at + intervalMs;
    if (at > now) await clock.sleep(at - now);
  };
}
