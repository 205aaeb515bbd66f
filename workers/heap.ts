import { setFlagsFromString } from 'node:v8';

/** How much the old part of the heap may grow beyond what was in use, in percent, before it is collected. */
const growthPercent = 30;

/**
 * Keeps the process's memory near what it uses; for processes that are ours alone, since it concerns all that they do. What a run reads lives for a page or two, yet V8, with a heap of gigabytes to fill, lets it pile
 * up to several times of what is in use.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
