import { Cron } from 'croner';

const value = '(?:[0-9]+|[A-Za-z]{3})';
const range = `(?:\\*|${value}(?:-${value})?)(?:/[0-9]+)?`;
const field = `${range}(?:,${range})*`;
const fiveFields = new RegExp(`^${field}(?: +${field}){4}$`);

/** What is wrong with a cron expression for Temporal, which takes five fields and no extensions (`L`, `#`, `W`, `?`); undefined if nothing is. */
export function cronProblem(cron: string): string | undefined {
  if (!fiveFields.test(cron)) {
    return 'not five fields (minute, hour, day of month, month, day of week) of numbers, names, *, lists, ranges and steps';
  }
  let next: Date | null;
  try {
    next = timesOf(cron, 'UTC').nextRun();
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, '').replace(/[.\s]+$/, '');
  }
  return next === null ? 'there is no such day, it would never run' : undefined;
}

/** What is wrong with a time zone's name; undefined if nothing is. Temporal wants the IANA name in its exact spelling, and no UTC offset. */
export function timezoneProblem(timezone: string): string | undefined {
  let known: string;
  try {
    known = new Intl.DateTimeFormat('en', { timeZone: timezone }).resolvedOptions().timeZone;
  } catch {
    return `"${timezone}" is not an IANA time zone`;
  }
  if (/^[+-]/.test(timezone)) {
    return `"${timezone}" is an offset, not an IANA time zone`;
  }
  return known !== timezone && known.toLowerCase() === timezone.toLowerCase() ? `"${timezone}" is spelled ${known}` : undefined;
}

/** The time between the next two ticks after `now`. */
export function cronIntervalMs(cron: string, timezone: string, now: Date): number {
  const [first, second] = timesOf(cron, timezone).nextRuns(2, now);
  if (first === undefined || second === undefined) {
    throw new RangeError(`the cron expression "${cron}" never runs`);
  }
  return second.getTime() - first.getTime();
}

/** The first tick after a moment. */
export function nextCronTick(cron: string, timezone: string, after: Date): Date {
  const next = timesOf(cron, timezone).nextRun(after);
  if (next === null) throw new RangeError(`the cron expression "${cron}" never runs`);
  return next;
}

/** Temporal requires that day of month and day of week both match, where cron is satisfied with one of them. */
function timesOf(cron: string, timezone: string): Cron {
  return new Cron(cron, { mode: '5-part', timezone, domAndDow: true, paused: true });
}
