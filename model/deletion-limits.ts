import type { Limits } from './config/types.ts';

export interface DeletionPlan {
  /** How many objects or links the plan would remove. */
  readonly candidates: number;
  /** How many there are before it. */
  readonly active: number;
  /** What was removed within the last 24 hours without approval; removals that followed from another one do not count. */
  readonly recent: number;
  readonly limits: Limits;
  /** The source was listed completely and gave nothing. */
  readonly emptyListing: boolean;
}

export type PlanVerdict = { readonly held: false } | { readonly held: true; readonly reason: string };

/**
 * Whether a plan of removals waits for approval, as a whole: an empty listing over existing objects always does; otherwise a plan that,
 * with what was removed within the last 24 hours, is above the floor and exceeds the count or the percentage of what was active then. Many
 * small plans are thus held where one large one would be.
 */
export function judgePlan({ candidates, active, recent, limits, emptyListing }: DeletionPlan): PlanVerdict {
  if (candidates === 0) {
    return { held: false };
  }
  if (emptyListing && active > 0) {
    return { held: true, reason: `the complete listing was empty, while ${active} are active` };
  }
  const removed = candidates + recent;
  const before = active + recent;
  if (removed <= limits.floor) {
    return { held: false };
  }
  const what = recent === 0 ? `${candidates} removals exceed` : `${candidates} removals, with ${recent} of the last 24 hours, exceed`;
  if (removed > limits.count) {
    return { held: true, reason: `${what} the limit of ${limits.count}` };
  }
  // Compared without division, so that a plan of exactly the percentage passes.
  if (removed * 100 > before * limits.percent) {
    return { held: true, reason: `${what} ${limits.percent} percent of ${before} active` };
  }
  return { held: false };
}

/**
 * How many active ones settle that a plan keeps within the percentage: who counts them may stop there, so that a small plan costs the same
 * in a large stream. Zero where the floor or the count decides alone.
 */
export function activeThatSettle({ candidates, recent, limits }: Pick<DeletionPlan, 'candidates' | 'recent' | 'limits'>): number {
  const removed = candidates + recent;
  if (candidates === 0 || removed <= limits.floor || removed > limits.count) return 0;
  return Math.max(0, Math.ceil((removed * 100) / limits.percent) - recent);
}
