import { describe, expect, it } from 'vitest';
import { loadConfiguration } from '../../../model/config/load.ts';
import { cronIntervalMs, cronProblem, timezoneProblem } from '../../../model/cron.ts';
import { formatDuration, parseDuration } from '../../../model/duration.ts';
import { catchupWindowMs, recommendCadence } from '../../../model/schedules.ts';
import { launchWorkflowId, scheduleId, scheduleIdPrefix, syncWorkflowId } from '../../../model/workflow-ids.ts';
import { exampleConnectors } from '../../support/example-connector.ts';

const now = new Date('2026-03-02T12:00:00Z');
const hourMs = 3_600_000;

describe('ids', () => {
  it('name the integration and the schedule', () => {
    expect(syncWorkflowId('corp-ad')).toBe('sync/corp-ad');
    expect(launchWorkflowId('corp-ad', 'nightly')).toBe('launch/corp-ad/nightly');
    expect(scheduleId('corp-ad', 'nightly')).toBe('tidemark/corp-ad/nightly');
    expect(scheduleId('corp-ad', 'nightly').startsWith(scheduleIdPrefix)).toBe(true);
  });
});

describe('a catch-up window', () => {
  it('is one interval for delta and auto', () => {
    expect(catchupWindowMs({ mode: 'delta', everyMs: 1_800_000, timezone: 'UTC' }, now)).toBe(1_800_000);
    expect(catchupWindowMs({ mode: 'auto', cron: '0 */4 * * *', timezone: 'UTC' }, now)).toBe(4 * hourMs);
    expect(catchupWindowMs({ mode: 'auto', cron: '0 7 * * 1', timezone: 'UTC' }, now)).toBe(168 * hourMs);
  });

  it('is a day for complete, whatever its interval', () => {
    expect(catchupWindowMs({ mode: 'complete', cron: '0 2 * * 0', timezone: 'UTC' }, now)).toBe(24 * hourMs);
    expect(catchupWindowMs({ mode: 'complete', everyMs: hourMs, timezone: 'UTC' }, now)).toBe(24 * hourMs);
  });

  it('is never shorter than Temporal allows', () => {
    expect(catchupWindowMs({ mode: 'delta', everyMs: 1_000, timezone: 'UTC' }, now)).toBe(10_000);
  });
});

describe('cron', () => {
  it('is counted in its time zone, through a change of the clocks', () => {
    expect(cronIntervalMs('30 7 * * *', 'Europe/Berlin', new Date('2026-03-28T00:00:00Z'))).toBe(23 * hourMs);
    expect(cronIntervalMs('30 7 * * *', 'UTC', new Date('2026-03-28T00:00:00Z'))).toBe(24 * hourMs);
  });

  it('needs both day fields to match, as Temporal does', () => {
    const days = cronIntervalMs('0 0 13 * 5', 'UTC', now) / (24 * hourMs);
    expect(days).toBeGreaterThan(27);
  });

  it('is refused where Temporal would refuse it', () => {
    for (const cron of ['30 7 * * *', '*/15 8-18 * * MON-FRI', '0 0 1,15 * *', '0 2 * JAN 0']) {
      expect(cronProblem(cron)).toBeUndefined();
    }
    for (const cron of [
      '',
      '* * * *',
      '0 0 L * *',
      '0 0 * * 5#1',
      '0 0 1W * *',
      '? * * * *',
      '@daily',
      '60 * * * *',
      '0 24 * * *',
      '0 0 31 4 *',
    ]) {
      expect(cronProblem(cron)).toEqual(expect.any(String));
    }
  });

  it('knows IANA time zones by their exact names', () => {
    expect(timezoneProblem('UTC')).toBeUndefined();
    expect(timezoneProblem('America/Argentina/Buenos_Aires')).toBeUndefined();
    for (const zone of ['utc', 'Mars/Olympus', '+01:00', '']) {
      expect(timezoneProblem(zone)).toEqual(expect.any(String));
    }
  });
});

describe('the recommended cadence', () => {
  it.each([
    [0, '4h', 'daily'],
    [9_999, '4h', 'daily'],
    [10_000, '2h', 'weekly'],
    [49_999, '2h', 'weekly'],
    [50_000, '1h', 'weekly off-hours'],
    [200_000, '1h', 'weekly off-hours'],
    [200_001, '30m', 'weekly'],
  ])('for %i objects is a delta every %s and a complete sync %s', (objects, every, complete) => {
    const schedules = recommendCadence(objects);
    expect(schedules[0]?.every).toBe(every);
    const completeEvery = schedules[0]?.completeEvery;
    const cron = schedules[1]?.cron;
    expect(
      cron === undefined
        ? completeEvery === '1d'
          ? 'daily'
          : completeEvery === '7d' && 'weekly'
        : cron === '0 2 * * 0' && 'weekly off-hours',
    ).toBe(complete);
  });

  it('is a valid part of the configuration file', () => {
    for (const objects of [1, 20_000, 100_000, 1_000_000]) {
      const text = JSON.stringify({
        integrations: {
          corp: { connector: 'example', settings: { urls: ['a'], password: { env: 'P' } }, schedules: recommendCadence(objects) },
        },
      });
      expect(loadConfiguration({ file: 'proposed', text }, exampleConnectors)).toMatchObject({ ok: true });
    }
  });
});

describe('a duration', () => {
  it.each([
    ['250ms', 250],
    ['45s', 45_000],
    ['30m', 1_800_000],
    ['4h', 14_400_000],
    ['2d', 172_800_000],
    ['2w', 1_209_600_000],
  ])('%s is %i ms, and back', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    expect(formatDuration(ms)).toBe(text);
  });

  it('is refused with the way to write it', () => {
    for (const text of ['', '5', '1.5h', '-1h', '5 m', '1h30m', '99999999999999999w']) {
      expect(() => parseDuration(text)).toThrow(
        expect.objectContaining({ type: 'InvalidConfiguration', message: `"${text}" is not a duration` }),
      );
    }
  });
});
