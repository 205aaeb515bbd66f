const quarterMs = 900_000;
const dayMs = 86_400_000;

/** Making one takes far longer than asking it. */
const clocks = new Map<string, Intl.DateTimeFormat>();

/** How far a zone's clocks are ahead of UTC at an instant. */
function offsetMs(zone: string, atMs: number): number {
  const clock =
    clocks.get(zone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'iso8601',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  clocks.set(zone, clock);
  const parts = Object.fromEntries(clock.formatToParts(atMs).map(({ type, value }) => [type, Number(value)])) as Record<string, number>;
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1_000) * 1_000;
}

/** A text of the form `2026-03-29T01:30:00.123456`, with or without `Z`, as milliseconds: the clock's reading taken for UTC, fractions cut off. */
export function readingMs(text: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?Z?)?$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}T${match[2] ?? '00:00:00'}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function readingText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

/** What a clock of the zone reads at an instant, both as text; fractions as given. */
export function wallClockAt(zone: string, instant: string): string {
  const ms = readingMs(instant);
  if (ms === undefined) throw new Error(`${instant} is no instant`);
  const fraction = /\.\d+/.exec(instant)?.[0] ?? '';
  return `${readingText(ms + offsetMs(zone, ms))}${fraction}`;
}

/**
 * The lowest reading that a clock of the zone can have shown at or after the moment it read `reading`, less `lagMs`. Clocks that are set back
 * in autumn show an hour twice: a reading in that hour stands for the earlier moment, and rows stamped after the change have lower readings.
 * In whole seconds: a column may hold less precision than the clock.
 */
export function lowestReadingSince(zone: string, reading: string, lagMs: number): string {
  const ms = readingMs(reading);
  if (ms === undefined) throw new Error(`${reading} is no reading of a clock`);
  // Whichever offset was in force around then: the larger one gives the earlier moment.
  const sinceMs = ms - Math.max(offsetMs(zone, ms - dayMs), offsetMs(zone, ms + dayMs)) - lagMs;
  // A clock that is set back later than in three hours shows nothing lower, for none is set back by more.
  const offsets = Array.from({ length: 13 }, (_, index) => offsetMs(zone, sinceMs + index * quarterMs));
  return readingText(sinceMs + Math.min(...offsets));
}

/** Earlier of two texts of one form, fractions of any length compared as numbers. Negative: `a` is earlier. */
export function compareReadings(a: string, b: string): number {
  const whole = (readingMs(a) ?? Number.NaN) - (readingMs(b) ?? Number.NaN);
  if (whole !== 0) return whole;
  const [left, right] = [fractionOf(a), fractionOf(b)];
  return left === right ? 0 : left < right ? -1 : 1;
}

function fractionOf(text: string): string {
  return (/\.(\d+)/.exec(text)?.[1] ?? '').padEnd(12, '0');
}
