import type { Limits } from './config/types.ts';

export interface DeletionPlan {
  /** How many objects or links the plan would remove. */
  readonly candidates: number;
  /** How many there are before it. */
  readonly active: number;
  readonly limits: Limits;
  /** The source was listed completely and gave nothing. */
  readonly emptyListing: boolean;
}

export type PlanVerdict = { readonly held: false } | { readonly held: true; readonly reason: string };

/**
 * Whether a plan of removals waits for approval, as a whole: an empty listing over existing objects always does; otherwise a plan above
 * the floor that exceeds the count or the percentage of what is active.
 */
export function judgePlan({ candidates, active, limits, emptyListing }: DeletionPlan): PlanVerdict {
  if (candidates === 0) {
    return { held: false };
  }
  if (emptyListing && active > 0) {
    return { held: true, reason: `the complete listing was empty, while ${active} are active` };
  }
  if (candidates <= limits.floor) {
    return { held: false };
  }
  if (candidates > limits.count) {
    return { held: true, reason: `${candidates} removals exceed the limit of ${limits.count}` };
  }
  // Compared without division, so that a plan of exactly the percentage passes.
  if (candidates * 100 > active * limits.percent) {
    return { held: true, reason: `${candidates} removals exceed ${limits.percent} percent of ${active} active` };
  }
  return { held: false };
}
