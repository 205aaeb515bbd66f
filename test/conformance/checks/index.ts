import type { ConformanceCheck } from '../check.ts';
import { changeChecks } from './changes.ts';
import { faultChecks } from './faults.ts';
import { listingChecks } from './listings.ts';
import { markerChecks } from './markers.ts';
import { randomChecks } from './random.ts';
import { recordChecks } from './records.ts';

/** Everything that the kit asks, in the order it is asked. */
export const conformanceChecks: readonly ConformanceCheck[] = [
  ...listingChecks,
  ...recordChecks,
  ...changeChecks,
  ...markerChecks,
  ...faultChecks,
  ...randomChecks,
];
