import { z } from 'zod';
import { parseDuration, durationRemedy as remedy } from '../duration.ts';
import { TidemarkFailure } from '../failure.ts';

/** A duration of the configuration: text as `parseDuration` takes it, milliseconds after validation. A default is given with `prefault('30m')`. */
export const durationMs = z
  .string({ error: 'not a duration' })
  .transform((text, context) => {
    try {
      return parseDuration(text);
    } catch (error) {
      if (!(error instanceof TidemarkFailure)) {
        throw error;
      }
      context.addIssue({ code: 'custom', message: error.message, params: { remedy }, input: text });
      return z.NEVER;
    }
  })
  .meta({ format: 'duration', remedy });
