import { expect, it } from 'vitest';
import { fewAtOnce } from '../../../cli/few-at-once.ts';

it('does work for all, in their order, and not for many at once', async () => {
  let [now, most] = [0, 0];
  const items = Array.from({ length: 100 }, (_, index) => index);
  const results = await fewAtOnce(items, async (item) => {
    most = Math.max(most, ++now);
    for (let turn = 0; turn < 100 - item; turn++) await Promise.resolve();
    now--;
    return item * 2;
  });
  expect(results).toEqual(items.map((item) => item * 2));
  expect(most).toBe(16);
});

it('fails with what fails, and begins no more', async () => {
  const begun: number[] = [];
  const items = Array.from({ length: 100 }, (_, index) => index);
  const ended = fewAtOnce(items, async (item) => {
    begun.push(item);
    if (item === 3) throw new Error('the third');
  });
  await expect(ended).rejects.toThrow('the third');
  expect(begun.length).toBeLessThan(100);
});
