import { describe, expect, it } from 'vitest';
import type { ScheduleConfig } from '../../../model/config/types.ts';
import { parseDuration } from '../../../model/duration.ts';
import { adviseSpacing, type MeasuredRuns } from '../../../model/spacing.ts';

const now = new Date('2026-03-02T12:00:00Z');
const base = { timezone: 'UTC', jitterMs: 0 };
const delta = (every: string): ScheduleConfig => ({ ...base, name: 'delta', mode: 'delta', everyMs: parseDuration(every) });
const auto = (every: string, completeEvery?: string): ScheduleConfig => ({
  ...base,
  name: 'auto',
  mode: 'auto',
  everyMs: parseDuration(every),
  ...(completeEvery === undefined ? {} : { completeEveryMs: parseDuration(completeEvery) }),
});
const complete = (cron: string): ScheduleConfig => ({ ...base, name: 'complete', mode: 'complete', cron });
const took = (completed: string | null, deltas: string | null): MeasuredRuns => ({
  completeMs: completed === null ? null : parseDuration(completed),
  deltaMs: deltas === null ? null : parseDuration(deltas),
  requests: 100,
  skipped: 40,
});
const advise = (schedules: readonly ScheduleConfig[], runs: MeasuredRuns) => adviseSpacing(schedules, runs, now);

describe('advice on spacing', () => {
  it('is not given where nothing was measured, where there are no deltas, and where all is well', () => {
    expect(advise([auto('30m', '1d')], took(null, null))).toEqual([]);
    expect(advise([complete('0 2 * * *')], took('20h', null))).toEqual([]);
    expect(advise([auto('30m', '7d')], took('20m', '1m'))).toEqual([]);
    expect(advise([delta('30m'), complete('0 2 * * *')], took('2h', '1m'))).toEqual([]);
  });

  it('says that every other delta is skipped where complete syncs take half of the time, and how rare they should be', () => {
    const [advice, ...more] = advise([delta('30m'), complete('0 */4 * * *')], took('2h', '1m'));
    expect(more).toEqual([]);
    expect(advice).toMatchObject({ cause: 'complete', share: 0.5 });
    expect(advice?.message).toBe(
      'a complete sync usually takes 2h and is due every 4h, deltas every 30m: every other delta is skipped. In the last 7 days 40 of 100 were.',
    );
    expect(advice?.proposal).toBe('Let complete syncs be due every 1d, or at an hour when nobody waits for deltas.');
  });

  it('counts the complete syncs of mode auto, by its completeEvery or a week', () => {
    expect(advise([auto('1h', '1d')], took('6h', '1m'))[0]).toMatchObject({
      share: 0.25,
      message: expect.stringContaining('one delta in 4 is skipped.'),
      proposal: expect.stringContaining('every 4d (completeEvery)'),
    });
    expect(advise([auto('1h')], took('12h', '1m'))).toEqual([]);
    expect(advise([auto('1h')], took('2d', '1m'))).toHaveLength(1);
  });

  it('says where complete syncs follow each other without a gap', () => {
    expect(advise([auto('30m', '1h')], took('2h', '1m'))[0]?.message).toContain('nearly every delta is skipped.');
  });

  it('says where a delta takes longer than its interval', () => {
    expect(advise([delta('10m')], took(null, '15m'))).toEqual([
      {
        cause: 'delta',
        share: 0.5,
        message: 'a delta usually takes 15m and is due every 10m: every other delta is skipped. In the last 7 days 40 of 100 were.',
        proposal: 'Let deltas be due every 30m.',
      },
    ]);
    expect(advise([delta('10m')], took(null, '35m'))[0]?.message).toContain('75 of 100 deltas are skipped.');
  });

  it('proposes what it would not complain about', () => {
    for (const minutes of [7, 45, 100, 600, 4_000, 20_000]) {
      const runs = { ...took(null, null), completeMs: minutes * 60_000 };
      const [found] = advise(
        [delta('5m'), { ...complete('0 0 1 1 *'), cron: undefined, everyMs: 60_000 } as unknown as ScheduleConfig],
        runs,
      );
      const every = /every (\d+\w)/.exec(found?.proposal ?? '')?.[1] ?? '';
      expect(advise([auto('5m', every)], runs), every).toEqual([]);
    }
  });
});
