import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** How much the old part of the heap may grow beyond what was in use, in percent, before it is collected. */
const growthPercent = 60;

/** Where the young part of the heap stops growing, both halves together: twice as much saves no time, and is memory all the same. */
const youngBytes = 2 ** 24;

/** How often the young part is looked at until it has that size. */
const lookEveryMs = 1_000;

/**
 * Keeps the process's memory near what it uses; for processes that are ours alone, since it concerns all that they do. What a run reads lives for a page or two, yet V8, with a heap of gigabytes to fill, lets it pile
 * up to several times of what is in use.
 */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
  limitYoungPart();
}

/** A limit of its own the young part takes only when a process starts; while it runs, growing can be ended, which it does by doubling. */
function limitYoungPart(): void {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  if (young === undefined || young.space_size >= youngBytes) setFlagsFromString('--semi-space-growth-factor=1');
  else setTimeout(limitYoungPart, lookEveryMs).unref();
}
