import type { WorkflowHandle } from '@temporalio/client';
import type { RunSummary } from '../model/run.ts';
import { cpuSeconds } from './cpu.ts';
import type { BenchMachine } from './machine.ts';

/** One measured piece of work. */
export interface Measured {
  readonly ms: number;
  /** Processor seconds of each part meanwhile, see {@link cpuSeconds}. */
  readonly cpu: Readonly<Record<string, number>>;
}

/** One sync, and what it cost. */
export interface MeasuredSync extends Measured {
  readonly run: RunSummary;
  /** What PostgreSQL wrote to its write-ahead log, bytes. */
  readonly walBytes: number;
  readonly history: History;
}

/** What a request for a sync left with Temporal: launcher and run together, but for `launcherEvents`. */
export interface History {
  readonly events: number;
  readonly launcherEvents: number;
  readonly activities: number;
  /** Billable actions of Temporal Cloud as far as histories show them: heartbeats, and two for each action of a schedule, come on top. */
  readonly actions: number;
}

/** Does the work and measures it. */
export async function measured(machine: BenchMachine, work: () => Promise<void>): Promise<Measured> {
  const before = await cpuSeconds(machine.processes());
  const startedAt = performance.now();
  await work();
  const ms = performance.now() - startedAt;
  const after = await cpuSeconds(machine.processes());
  return { ms, cpu: Object.fromEntries(Object.entries(after).map(([name, seconds]) => [name, seconds - (before[name] ?? 0)])) };
}

/** A sync from the start of its launcher to its result, which comes after the close of the run. Fails if the sync does not succeed. */
export async function measuredSync(machine: BenchMachine, integration: string, mode: 'complete' | 'delta'): Promise<MeasuredSync> {
  const { tidemark } = machine;
  const ending: { launcher?: string; run?: RunSummary } = {};
  const position = await walPosition(machine);
  const taken = await measured(machine, async () => {
    ending.launcher = await tidemark.startSync({ integration, mode });
    const { outcome, reason, run } = await tidemark.follow(ending.launcher);
    if (outcome !== 'succeeded' || run === null) throw new Error(`${mode} of ${integration} ${outcome}: ${reason}`);
    ending.run = run;
  });
  const walBytes = Number((await walPosition(machine)) - position);
  const { launcher = '', run } = ending;
  if (run === undefined) throw new Error(`${mode} of ${integration} has no run`);
  return { ...taken, run, walBytes, history: await readHistory(machine, launcher) };
}

/** How many bytes PostgreSQL has written to its write-ahead log since it was made. */
export async function walPosition({ store }: BenchMachine): Promise<bigint> {
  const { rows } = await store.pool.query<{ bytes: string }>(`select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text as bytes`);
  return BigInt(rows[0]?.bytes ?? 0);
}

type Event = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>[number];

/** What an event counts for (docs.temporal.io/cloud/actions): an activity counts once for each attempt, local activities leave a marker. */
function actionsOf(event: Event): number {
  if (event.activityTaskStartedEventAttributes) return event.activityTaskStartedEventAttributes.attempt ?? 1;
  const counts =
    event.workflowExecutionStartedEventAttributes ??
    event.upsertWorkflowSearchAttributesEventAttributes ??
    event.timerStartedEventAttributes ??
    event.markerRecordedEventAttributes;
  return counts ? 1 : 0;
}

/** Reads the histories of a launcher and of the run that it started. */
export async function readHistory({ temporal }: BenchMachine, launcherId: string): Promise<History> {
  const launcher = (await temporal.workflow.getHandle(launcherId).fetchHistory()).events ?? [];
  const child = launcher.find((event) => event.childWorkflowExecutionStartedEventAttributes)?.childWorkflowExecutionStartedEventAttributes
    ?.workflowExecution;
  const run = child ? ((await temporal.workflow.getHandle(child.workflowId ?? '', child.runId ?? '').fetchHistory()).events ?? []) : [];
  const events = [...launcher, ...run];
  return {
    events: events.length,
    launcherEvents: launcher.length,
    activities: events.filter((event) => event.activityTaskScheduledEventAttributes).length,
    actions: events.reduce((sum, event) => sum + actionsOf(event), 0),
  };
}
