import { describe, expect, test } from 'vitest';
import { compareReadings, lowestReadingSince, wallClockAt } from '../../../connectors/sql/wall-clock.ts';

const minuteMs = 60_000;

describe('clocks without a zone', () => {
  test.each([
    ['an ordinary day', 'Europe/Berlin', '2026-05-05T12:00:00.5', '2026-05-05T11:50:00'],
    ['a zone without summer time', 'UTC', '2026-05-05T00:05:00', '2026-05-04T23:55:00'],
    ['the first time of the hour that comes twice', 'Europe/Berlin', '2025-10-26T02:05:00', '2025-10-26T01:55:00'],
    ['an hour that is about to come again', 'Europe/Berlin', '2025-10-26T02:55:00', '2025-10-26T01:45:00'],
    ['just before that hour', 'Europe/Berlin', '2025-10-26T01:30:00', '2025-10-26T00:20:00'],
    ['after the clocks were put forward', 'Europe/Berlin', '2026-03-29T03:05:00', '2026-03-29T01:55:00'],
    ['an hour that there never was', 'Europe/Berlin', '2026-03-29T02:30:00', '2026-03-29T01:20:00'],
    ['half an hour', 'Australia/Lord_Howe', '2026-04-05T01:55:00', '2026-04-05T01:15:00'],
  ])('%s: ten minutes before are not above the lowest reading', (_, zone, reading, atMost) => {
    expect(compareReadings(lowestReadingSince(zone, reading, 10 * minuteMs), atMost)).toBeLessThanOrEqual(0);
  });

  test('nothing that is stamped after a moment has a lower reading than was reckoned with, around two changes of the clocks', () => {
    const start = Date.parse('2025-10-20T00:00:00Z');
    for (const zone of ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'UTC']) {
      for (let atMs = start; atMs < start + 15 * 86_400_000; atMs += 23 * minuteMs) {
        const lowest = lowestReadingSince(zone, wallClockAt(zone, new Date(atMs).toISOString()), 0);
        for (const later of [0, 3, 59, 61, 120]) {
          const stamped = wallClockAt(zone, new Date(atMs + later * minuteMs).toISOString());
          expect(compareReadings(stamped, lowest), `${zone} ${stamped}`).toBeGreaterThanOrEqual(0);
        }
      }
    }
  });

  test('fractions of any length are compared as numbers', () => {
    expect(compareReadings('2026-01-01T00:00:00.5', '2026-01-01T00:00:00.500')).toBe(0);
    expect(compareReadings('2026-01-01T00:00:00.123456', '2026-01-01T00:00:00.1234561Z')).toBeLessThan(0);
    expect(compareReadings('2026-01-01', '2026-01-01T00:00:00')).toBe(0);
  });
});
