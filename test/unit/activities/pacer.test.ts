import { describe, expect, it } from 'vitest';
import { pacer } from '../../../activities/pacer.ts';

/** A clock that stands still but for those who sleep. */
function testClock() {
  let now = 1_000;
  return {
    now: () => now,
    sleep: async (ms: number) => {
      now += ms;
    },
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('a pacer', () => {
  it('keeps requests as far apart as the rate says, the first one too', async () => {
    const clock = testClock();
    const pace = pacer(4, clock);
    const times: number[] = [];
    for (let n = 0; n < 4; n += 1) {
      await pace();
      times.push(clock.now());
    }
    expect(times).toEqual([1_250, 1_500, 1_750, 2_000]);
  });

  it('does not keep a request that comes late anyway, and saves nothing up', async () => {
    const clock = testClock();
    const pace = pacer(4, clock);
    clock.pass(10_000);
    await pace();
    expect(clock.now()).toBe(11_000);
    await pace();
    expect(clock.now()).toBe(11_250);
  });

  it('lines up requests that are made side by side', async () => {
    const clock = testClock();
    const pace = pacer(10, { now: () => 0, sleep: async (ms) => clock.pass(ms) });
    await Promise.all([pace(), pace(), pace()]);
    expect(clock.now()).toBe(1_000 + 100 + 200 + 300);
  });
});
