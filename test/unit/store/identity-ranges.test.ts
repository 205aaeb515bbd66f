import { expect, it } from 'vitest';
import { inRanges, type Range } from '../../../store/identities/batches.ts';

/** Ends of ranges of ten among fifty ids, two at a time, as `endsAfter` finds them. */
async function ends(after: string): Promise<readonly string[]> {
  return [Number(after) + 10, Number(after) + 20].filter((end) => end <= 50).map(String);
}

it('goes through all ranges once, those of one time side by side, and none before those have ended', async () => {
  const ranges: Range[] = [];
  const working = new Set<string>();
  const together: string[] = [];
  await inRanges(ends, async (range) => {
    ranges.push(range);
    working.add(range.upTo);
    together.push([...working].join(' '));
    // The first of two ends before the second.
    await (range.upTo === '20' || range.upTo === '40' ? new Promise(setImmediate) : Promise.resolve());
    working.delete(range.upTo);
  });
  expect(ranges.map(({ after, upTo }) => `${after}-${upTo}`)).toEqual(['0-10', '10-20', '20-30', '30-40', '40-50']);
  expect(together).toEqual(['10', '10 20', '30', '30 40', '50']);
});

it('fails when one has failed, after its neighbour has ended and before any other begins', async () => {
  const ended: string[] = [];
  const work = async ({ upTo }: Range) => {
    if (upTo === '10') throw new Error('refused');
    await new Promise(setImmediate);
    ended.push(upTo);
  };
  await expect(inRanges(ends, work)).rejects.toThrow('refused');
  expect(ended).toEqual(['20']);
});
