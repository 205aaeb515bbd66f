import { TidemarkFailure } from './failure.ts';

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

type Unit = keyof typeof unitMs;

/** How to write a duration, for error messages. */
export const durationRemedy = 'Write a whole number and one unit out of ms, s, m, h, d and w: 250ms, 45s, 30m, 4h, 7d, 2w.';

/**
 * Milliseconds of a duration as the configuration writes it: a whole number and a unit (`250ms`, `45s`, `30m`, `4h`, `7d`, `2w`).
 * A day is 24 hours. Fails with `InvalidConfiguration`, quoting the text.
 */
export function parseDuration(text: string): number {
  const match = /^(\d+)(ms|s|m|h|d|w)$/.exec(text);
  const ms = match === null ? Number.NaN : Number(match[1]) * unitMs[match[2] as Unit];
  if (!Number.isSafeInteger(ms)) {
    throw new TidemarkFailure('InvalidConfiguration', `"${text}" is not a duration`, { remedy: durationRemedy });
  }
  return ms;
}

/** The shortest exact text of a duration in whole milliseconds, as `parseDuration` reads it: 1_800_000 is `30m`, 604_800_000 is `1w`. */
export function formatDuration(ms: number): string {
  const unit = ms === 0 ? 's' : ((['w', 'd', 'h', 'm', 's'] as const).find((candidate) => ms % unitMs[candidate] === 0) ?? 'ms');
  return `${ms / unitMs[unit]}${unit}`;
}
