import { type Place, problemAt } from './place.ts';
import type { ConfigProblem } from './problem.ts';
import type { IntegrationFile } from './schema.ts';
import type { ScheduleConfig } from './types.ts';

type ScheduleFile = IntegrationFile['schedules'][number];

/** A schedule as it is stored. */
export function scheduleConfig(schedule: ScheduleFile): ScheduleConfig {
  const { every, cron, completeEvery, streams } = schedule;
  return {
    name: scheduleName(schedule),
    mode: schedule.mode,
    ...(every === undefined ? {} : { everyMs: every }),
    ...(cron === undefined ? {} : { cron }),
    timezone: schedule.timezone,
    jitterMs: schedule.jitter,
    ...(completeEvery === undefined ? {} : { completeEveryMs: completeEvery }),
    ...(streams === undefined ? {} : { streams }),
  };
}

function scheduleName({ name, mode }: ScheduleFile): string {
  return name ?? mode;
}

/** Two schedules of one name would be one to Temporal. */
export function scheduleNameProblems(
  { schedules }: { readonly schedules: readonly ScheduleFile[] },
  place: Place,
): readonly ConfigProblem[] {
  const names = schedules.map(scheduleName);
  return names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [
          problemAt(
            place,
            ['schedules', index],
            'value',
            `a second schedule with the name "${name}"`,
            'Give each schedule a name of its own; without one it is called like its mode.',
          ),
        ],
  );
}
