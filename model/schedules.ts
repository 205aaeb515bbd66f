import type { ScheduleConfig, ScheduleMode } from './config/types.ts';
import { cronIntervalMs, nextCronTick } from './cron.ts';
import { parseDuration } from './duration.ts';

const dayMs = 86_400_000;

/** Temporal refuses shorter catch-up windows. */
const shortestWindowMs = 10_000;

/** The time from one tick of a schedule to the next; for cron between the next two ticks after `now`. */
export function intervalMs({ everyMs, cron, timezone }: Pick<ScheduleConfig, 'everyMs' | 'cron' | 'timezone'>, now: Date): number {
  if (everyMs !== undefined) {
    return everyMs;
  }
  if (cron === undefined) {
    throw new RangeError('a schedule has neither an interval nor a cron expression');
  }
  return cronIntervalMs(cron, timezone, now);
}

/**
 * How late a tick that was missed may still start: one interval for delta and auto, since the next tick does the same work,
 * 24 hours for complete.
 */
export function catchupWindowMs(schedule: Pick<ScheduleConfig, 'mode' | 'everyMs' | 'cron' | 'timezone'>, now: Date): number {
  return schedule.mode === 'complete' ? dayMs : Math.max(intervalMs(schedule, now), shortestWindowMs);
}

/** How old the last complete read may get under a schedule of mode auto that does not say. */
export const defaultCompleteEveryMs = parseDuration('7d');

/**
 * When the schedules have a stream read completely again, after a complete read that began at `since`; undefined if they never do. Under
 * auto that is its first tick after `completeEvery`.
 */
export function completeDue(schedules: readonly ScheduleConfig[], stream: string, since: Date): Date | undefined {
  const times = schedules
    .filter(({ mode, streams }) => mode !== 'delta' && (streams?.includes(stream) ?? true))
    .map(({ mode, everyMs, cron, timezone, completeEveryMs }) => {
      const from = mode === 'auto' ? since.getTime() + (completeEveryMs ?? defaultCompleteEveryMs) : since.getTime();
      return cron === undefined ? from + (everyMs ?? 0) : nextCronTick(cron, timezone, new Date(from)).getTime();
    });
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

/** A schedule as the configuration file writes it. */
export interface ProposedSchedule {
  readonly mode: ScheduleMode;
  readonly every?: string;
  readonly cron?: string;
  readonly completeEvery?: string;
}

/** The schedules to begin with for a source of this many objects; both kinds of sync get rarer or cheaper to fit its size. */
export function recommendCadence(objects: number): readonly ProposedSchedule[] {
  if (objects < 10_000) {
    return [{ mode: 'auto', every: '4h', completeEvery: '1d' }];
  }
  if (objects < 50_000) {
    return [{ mode: 'auto', every: '2h', completeEvery: '7d' }];
  }
  if (objects <= 200_000) {
    return [
      { mode: 'delta', every: '1h' },
      { mode: 'complete', cron: '0 2 * * 0' },
    ];
  }
  return [{ mode: 'auto', every: '30m', completeEvery: '7d' }];
}
