import { createHash } from 'node:crypto';
import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  ScheduleNotFoundError,
  type ScheduleOptions,
  type ScheduleOptionsStartWorkflowAction,
} from '@temporalio/client';
import { canonicalJson } from '../model/canonical.ts';
import type { RetentionConfig, ScheduleConfig, Subject } from '../model/config/types.ts';
import { formatDuration } from '../model/duration.ts';
import type { MaintenanceRequest } from '../model/maintenance.ts';
import type { LaunchRequest } from '../model/run.ts';
import { catchupWindowMs, intervalMs } from '../model/schedules.ts';
import { launchWorkflowId, maintenanceScheduleId, maintenanceWorkflowId, scheduleId } from '../model/workflow-ids.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import { fewAtOnce } from './few-at-once.ts';
import { patiently } from './patiently.ts';

export interface ScheduleChange {
  /** `tidemark/<integration>/<name>`. */
  readonly schedule: string;
  readonly action: 'create' | 'update' | 'delete' | 'unchanged';
  /** The schedule in words: `auto every 30m`. */
  readonly summary: string;
}

export type Configurations = ReadonlyMap<string, Subject>;

/** Raised when the same configuration is to make other schedules than before. */
const form = 2;

type StartAction = ScheduleOptionsStartWorkflowAction<(request: LaunchRequest | MaintenanceRequest) => Promise<unknown>>;

/** A schedule as it is wanted: in words, and with a digest of all that it is made from. */
export type Declaration = ScheduleOptions<StartAction> & { readonly summary: string; readonly digest: string };

/** What schedules are made from. */
export interface Wanted {
  readonly configurations: Configurations;
  readonly maintenance: Declaration;
  /** The workers' queue. */
  readonly taskQueue: string;
}

/**
 * What would make Temporal's schedules those of the configuration. Only schedules that this database's former configuration made are ever
 * deleted: another Tidemark may share the namespace.
 */
export async function planSchedules(client: Client, before: Configurations, wanted: Wanted): Promise<readonly ScheduleChange[]> {
  const declared = declareAll(wanted);
  const names = new Set(declared.map((declaration) => declaration.scheduleId));
  const changes = await fewAtOnce(declared, async (declaration): Promise<ScheduleChange> => {
    const found = await describe(client, declaration.scheduleId);
    const action = found === undefined ? 'create' : isAsDeclared(found, declaration) ? 'unchanged' : 'update';
    return { schedule: declaration.scheduleId, action, summary: declaration.summary };
  });
  const removed = declareSchedules(before, wanted.taskQueue).filter((declaration) => !names.has(declaration.scheduleId));
  const deletions = await fewAtOnce(
    removed,
    async ({ scheduleId: id, summary }): Promise<readonly ScheduleChange[]> =>
      (await describe(client, id)) === undefined ? [] : [{ schedule: id, action: 'delete', summary }],
  );
  return [...changes, ...deletions.flat()];
}

/** Deletes what the plan says; done before the configuration is stored, so that an interrupted apply still knows what to delete. */
export async function deleteSchedules(client: Client, plan: readonly ScheduleChange[]): Promise<void> {
  for (const { schedule, action } of plan) {
    if (action !== 'delete') continue;
    await patiently(() => client.schedule.getHandle(schedule).delete()).catch((error: unknown) => {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    });
  }
}

/** Creates and updates what the plan says. An operator's pause, its note and a limited number of actions survive an update. */
export async function writeSchedules(client: Client, plan: readonly ScheduleChange[], wanted: Wanted): Promise<void> {
  const actions = new Map(plan.map((change) => [change.schedule, change.action]));
  for (const { summary: _, digest: __, ...options } of declareAll(wanted)) {
    const action = actions.get(options.scheduleId);
    if (action === 'create') {
      try {
        await patiently(() => client.schedule.create(options));
        continue;
      } catch (error) {
        if (!(error instanceof ScheduleAlreadyRunning)) throw error;
      }
    } else if (action !== 'update') continue;
    const { scheduleId: id, ...declaration } = options;
    await patiently(() => client.schedule.getHandle(id).update((previous) => ({ ...declaration, state: previous.state })));
  }
}

function declareAll({ configurations, maintenance, taskQueue }: Wanted): readonly Declaration[] {
  return [...declareSchedules(configurations, taskQueue), maintenance];
}

/** The schedule of the workflow `maintain`: a tick that comes while one is at work is left out. */
export function declareMaintenance(database: string, { everyMs, ...request }: RetentionConfig, taskQueue: string): Declaration {
  const summary = `maintain every ${formatDuration(everyMs)}`;
  const digest = createHash('sha256').update(canonicalJson({ form, database, everyMs, request, taskQueue })).digest('hex');
  return {
    summary,
    digest,
    scheduleId: maintenanceScheduleId(database),
    spec: { intervals: [{ every: everyMs }], timezone: 'UTC' },
    action: {
      type: 'startWorkflow',
      workflowType: 'maintain',
      workflowId: maintenanceWorkflowId(database),
      taskQueue,
      args: [request],
      staticSummary: 'remove what has outlived its retention',
      memo: { declaration: digest },
    },
    policies: { overlap: 'SKIP', catchupWindow: everyMs, pauseOnFailure: false },
  };
}

function declareSchedules(configurations: Configurations, taskQueue: string): readonly Declaration[] {
  return [...configurations].flatMap(([integration, config]) =>
    config.schedules.map((schedule) => declareSchedule(integration, config, schedule, taskQueue)),
  );
}

function declareSchedule(integration: string, { connector }: Subject, schedule: ScheduleConfig, taskQueue: string): Declaration {
  const { mode, everyMs, cron, timezone, jitterMs, streams, completeEveryMs } = schedule;
  const now = new Date();
  const summary = describeSchedule(schedule);
  const digest = createHash('sha256').update(canonicalJson({ form, integration, connector, schedule, taskQueue })).digest('hex');
  const request: LaunchRequest = {
    integration,
    mode,
    ...(streams === undefined ? {} : { streams }),
    ...(mode === 'auto' && completeEveryMs !== undefined ? { completeEveryMs } : {}),
    ...(mode === 'complete' ? {} : { lateAfterMs: intervalMs(schedule, now) }),
  };
  return {
    summary,
    digest,
    scheduleId: scheduleId(integration, schedule.name),
    spec: {
      ...(everyMs === undefined ? {} : { intervals: [{ every: everyMs, offset: offsetMs(integration, schedule.name, everyMs) }] }),
      // The comment comes back from the server, which turns the expression itself into its own form.
      ...(cron === undefined ? {} : { cronExpressions: [`${cron} # ${cron}`] }),
      ...(jitterMs === 0 ? {} : { jitter: jitterMs }),
      timezone,
    },
    action: {
      type: 'startWorkflow',
      workflowType: 'launchSync',
      workflowId: launchWorkflowId(integration, schedule.name),
      taskQueue,
      args: [request],
      staticSummary: `${integration}: ${summary}`,
      memo: { declaration: digest },
      typedSearchAttributes: [
        { key: searchAttributes.integration, value: integration },
        { key: searchAttributes.connector, value: connector },
        { key: searchAttributes.mode, value: mode },
      ],
    },
    policies: { overlap: 'ALLOW_ALL', catchupWindow: catchupWindowMs(schedule, now), pauseOnFailure: false },
  };
}

/**
 * Where in its interval a schedule falls due, in whole seconds. Temporal counts intervals from 1970 on for all schedules alike: without this
 * hundreds of integrations would all begin in the same second, and wait for each other.
 */
function offsetMs(integration: string, name: string, everyMs: number): number {
  const place = createHash('sha256').update(`${integration}/${name}`).digest().readUInt32BE();
  return (place % Math.floor(everyMs / 1_000)) * 1_000;
}

/** A schedule in words: `delta every 30m`, `complete at 30 7 * * * (UTC)`. */
export function describeSchedule({ mode, everyMs, cron, timezone, completeEveryMs, streams }: ScheduleConfig): string {
  return [
    mode,
    everyMs === undefined ? `at ${cron} (${timezone})` : `every ${formatDuration(everyMs)}`,
    ...(completeEveryMs === undefined ? [] : [`with a complete every ${formatDuration(completeEveryMs)}`]),
    ...(streams === undefined ? [] : [`of ${streams.join(', ')}`]),
  ].join(' ');
}

/**
 * Whether the server has what is declared: the digest says that the declaration was this one, the rest that nobody edited it since. The
 * interval of an irregular cron expression depends on the day, so what follows from it is not compared.
 */
function isAsDeclared({ spec, action, policies }: ScheduleDescription, declaration: Declaration): boolean {
  const regular = declaration.spec.intervals !== undefined;
  const [calendar] = spec.calendars ?? [];
  return (
    action.memo?.declaration === declaration.digest &&
    action.workflowType === declaration.action.workflowType &&
    action.workflowId === declaration.action.workflowId &&
    action.taskQueue === declaration.action.taskQueue &&
    canonicalJson(requestsOf(action.args, regular)) === canonicalJson(requestsOf(declaration.action.args, regular)) &&
    canonicalJson((spec.intervals ?? []).map(({ every, offset }) => [every, offset ?? 0])) ===
      canonicalJson((declaration.spec.intervals ?? []).map(({ every, offset }) => [every, offset ?? 0])) &&
    (spec.calendars ?? []).length === (regular ? 0 : 1) &&
    (regular || declaration.spec.cronExpressions?.[0]?.endsWith(`# ${calendar?.comment}`) === true) &&
    (spec.jitter ?? 0) === (declaration.spec.jitter ?? 0) &&
    (spec.timezone || 'UTC') === declaration.spec.timezone &&
    policies.overlap === declaration.policies?.overlap &&
    policies.pauseOnFailure === declaration.policies?.pauseOnFailure &&
    (!regular || policies.catchupWindow === declaration.policies?.catchupWindow)
  );
}

function requestsOf(args: unknown, withLateness: boolean): readonly unknown[] {
  return (Array.isArray(args) ? args : []).map((argument: LaunchRequest) => {
    const { lateAfterMs, ...request } = argument;
    return withLateness && lateAfterMs !== undefined ? { ...request, lateAfterMs } : request;
  });
}

async function describe(client: Client, id: string): Promise<ScheduleDescription | undefined> {
  try {
    return await patiently(() => client.schedule.getHandle(id).describe());
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}
