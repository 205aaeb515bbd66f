import { z } from 'zod';

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

type Unit = keyof typeof unitMs;

const pattern = /^(\d+)(ms|s|m|h|d|w)$/;

const remedy = 'write a whole number and a unit, one of ms, s, m, h, d, w: "250ms", "45s", "30m", "4h", "7d", "2w"';

/**
 * Milliseconds of a duration as the configuration writes it: a whole number and a unit ("250ms", "45s", "30m", "4h", "7d", "2w").
 * Throws a `RangeError` that quotes the text and says how to write it.
 */
export function parseDuration(text: string): number {
  const match = pattern.exec(text);
  if (match === null) {
    throw new RangeError(`"${text}" is not a duration: ${remedy}`);
  }
  const ms = Number(match[1]) * unitMs[match[2] as Unit];
  if (!Number.isSafeInteger(ms)) {
    throw new RangeError(`"${text}" is too long a duration`);
  }
  return ms;
}

/** The shortest exact text of a duration in whole milliseconds, as `parseDuration` reads it: 1_800_000 is "30m", 604_800_000 is "1w". */
export function formatDuration(ms: number): string {
  const unit = ms === 0 ? 's' : ((['w', 'd', 'h', 'm', 's'] as const).find((candidate) => ms % unitMs[candidate] === 0) ?? 'ms');
  return `${ms / unitMs[unit]}${unit}`;
}

/** A duration of the configuration: text as `parseDuration` takes it, milliseconds after validation. */
export const durationSchema = z
  .string({ error: `expected a duration: ${remedy}` })
  .transform((text, context) => {
    try {
      return parseDuration(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as RangeError).message, input: text });
      return z.NEVER;
    }
  })
  .meta({ format: 'duration' });
