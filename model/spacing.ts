import type { ScheduleConfig } from './config/types.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { defaultCompleteEveryMs, intervalMs } from './schedules.ts';

/** What was measured of an integration's runs. */
export interface MeasuredRuns {
  /** Median duration of the last complete runs that succeeded; null if there are none. */
  readonly completeMs: number | null;
  readonly deltaMs: number | null;
  /** Delta and auto requests of the last seven days, and how many of them were skipped because a run was open. */
  readonly requests: number;
  readonly skipped: number;
}

/** Schedules that are too close for what runs take: which runs take the place of deltas, in words, and what to do. */
export interface SpacingAdvice {
  readonly cause: 'complete' | 'delta';
  /** The part of the deltas that falls due while a run of this kind is at work. */
  readonly share: number;
  readonly message: string;
  readonly proposal: string;
}

/** Below this share of skipped deltas nobody needs to do anything: what a skipped delta would have brought comes with the next. */
const acceptableShare = 0.1;

const steps = ['1m', '2m', '5m', '10m', '15m', '30m', '1h', '2h', '4h', '6h', '12h', '1d', '2d', '4d', '7d', '14d', '30d'].map(
  parseDuration,
);

/** Where runs take so long that deltas are skipped again and again, and a better cadence; nothing where all is well or nothing was measured. */
export function adviseSpacing(schedules: readonly ScheduleConfig[], runs: MeasuredRuns, now = new Date()): readonly SpacingAdvice[] {
  const deltas = schedules.filter(({ mode }) => mode !== 'complete').map((schedule) => intervalMs(schedule, now));
  if (deltas.length === 0) return [];
  const deltaEveryMs = Math.min(...deltas);
  return [...adviseOnDeltas(deltaEveryMs, runs), ...adviseOnCompletes(schedules, deltaEveryMs, runs, now)];
}

/** A delta that takes longer than its interval is in the way of the next. */
function adviseOnDeltas(everyMs: number, runs: MeasuredRuns): readonly SpacingAdvice[] {
  const { deltaMs } = runs;
  if (deltaMs === null || deltaMs <= everyMs) return [];
  const eaten = Math.floor(deltaMs / everyMs);
  const share = eaten / (eaten + 1);
  return [
    {
      cause: 'delta',
      share,
      message: `a delta usually takes ${tell(deltaMs)} and is due every ${formatDuration(everyMs)}: ${tellShare(share)} ${tellObserved(runs)}`,
      proposal: `Let deltas be due every ${formatDuration(roundUp(deltaMs * 2))}.`,
    },
  ];
}

/** A complete that takes longer than the interval of deltas is in the way of some, each time. */
function adviseOnCompletes(
  schedules: readonly ScheduleConfig[],
  deltaEveryMs: number,
  runs: MeasuredRuns,
  now: Date,
): readonly SpacingAdvice[] {
  const { completeMs } = runs;
  const cadences = schedules.flatMap((schedule) => {
    if (schedule.mode === 'delta') return [];
    return [schedule.mode === 'auto' ? (schedule.completeEveryMs ?? defaultCompleteEveryMs) : intervalMs(schedule, now)];
  });
  if (completeMs === null || completeMs <= deltaEveryMs || cadences.length === 0) return [];
  const completeEveryMs = Math.min(...cadences);
  const share = Math.min(1, completeMs / completeEveryMs);
  if (share < acceptableShare) return [];
  const auto = schedules.some(({ mode }) => mode === 'auto');
  return [
    {
      cause: 'complete',
      share,
      message: `a complete sync usually takes ${tell(completeMs)} and is due every ${formatDuration(completeEveryMs)}, deltas every ${formatDuration(deltaEveryMs)}: ${tellShare(share)} ${tellObserved(runs)}`,
      proposal: `Let complete syncs be due every ${formatDuration(roundUp(completeMs / acceptableShare))}${auto ? ' (completeEvery)' : ''}, or at an hour when nobody waits for deltas.`,
    },
  ];
}

function tellShare(share: number): string {
  if (share >= 0.95) return 'nearly every delta is skipped.';
  if (share > 0.6) return `${Math.round(share * 100)} of 100 deltas are skipped.`;
  if (share >= 0.4) return 'every other delta is skipped.';
  return `one delta in ${Math.round(1 / share)} is skipped.`;
}

function tellObserved({ requests, skipped }: MeasuredRuns): string {
  return `In the last 7 days ${skipped} of ${requests} were.`;
}

function tell(ms: number): string {
  if (ms >= 3_600_000) return `${Math.round(ms / 360_000) / 10}h`;
  return ms >= 60_000 ? `${Math.round(ms / 60_000)}m` : `${Math.max(1, Math.round(ms / 1_000))}s`;
}

/** The next interval that people choose. */
function roundUp(ms: number): number {
  const days = parseDuration('1d');
  return steps.find((step) => step >= ms) ?? Math.ceil(ms / days) * days;
}
