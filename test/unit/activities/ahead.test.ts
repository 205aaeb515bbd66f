import { describe, expect, it } from 'vitest';
import { eachAhead } from '../../../activities/ahead.ts';

/** Pages that count how many have been made, and whether the source was let go. */
function source(size: number) {
  const state = { made: 0, closed: false };
  async function* pages(): AsyncGenerator<number, string, void> {
    try {
      while (state.made < size) yield ++state.made;
      return 'the end';
    } finally {
      state.closed = true;
    }
  }
  return { state, pages: pages() };
}

describe('pages that are used while the next one is made', () => {
  it('are at most two in memory, however slowly they are used: the source waits', async () => {
    const { state, pages } = source(20);
    let used = 0;
    const end = await eachAhead(pages, async () => {
      // As long as anything that is ready to happen happens, the source may run ahead if nothing holds it.
      for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
      expect(state.made - used).toBeLessThanOrEqual(2);
      used += 1;
    });
    expect({ end, used }).toEqual({ end: 'the end', used: 20 });
  });

  it('end with the first use that fails, and let the source go', async () => {
    const { state, pages } = source(20);
    const failure = new Error('the disk is full');
    await expect(eachAhead(pages, () => Promise.reject(failure))).rejects.toBe(failure);
    expect(state.made).toBeLessThanOrEqual(2);
    expect(state.closed).toBe(true);
  });

  it('end with a failure of the source, after the last page was used', async () => {
    const failure = new Error('the line was cut');
    async function* pages(): AsyncGenerator<number, void, void> {
      yield 1;
      throw failure;
    }
    const used: number[] = [];
    await expect(
      eachAhead(pages(), async (page) => {
        await Promise.resolve();
        used.push(page);
      }),
    ).rejects.toBe(failure);
    expect(used).toEqual([1]);
  });
});
