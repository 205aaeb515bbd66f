import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds } from './cpu.ts';
import type { Directory } from './directory.ts';
import { directorySource } from './directory-source.ts';
import type { BenchMachine } from './machine.ts';
import { readHistory, walPosition } from './measure.ts';
import { append, listed, median, quantile } from './report.ts';
import { verify } from './verify.ts';

const minuteMs = 60_000;

/** One integration in ten finds a change each minute. */
const changedShare = 10;

/** Integrations that are read completely at the same time before the measurement begins. */
const sideBySide = 4;

/** Runs whose histories are read, and integrations whose rows are compared with the source. */
const sampleSize = 10;

/** What a deployment of this many integrations would take is calculated. */
const imagined = 10_000;

/**
 * Many integrations, each with a delta every minute, on one worker. Prints how long deltas take and which ticks were missed, what a delta
 * costs each part, and, as a calculation, what 10,000 integrations would cost.
 */
export async function many(machine: BenchMachine, directory: Directory, minutes: number): Promise<void> {
  const { source } = machine;
  const tenants = directory.bases.map(
    (baseDn, index) => [`tenant-${index}`, directorySource({ ...directory, access: { ...directory.access, baseDn } })] as const,
  );
  const configure = (schedules: readonly unknown[]) =>
    machine.configure(Object.fromEntries(tenants.map(([name, of]) => [name, { source: of, schedules }])));
  await configure([]);
  await readCompletely(
    machine,
    tenants.map(([name]) => name),
  );
  await machine.restartWorker();
  const idle = await machine.worker().maxRssMb();
  await configure([{ mode: 'delta', every: '1m' }]);

  const from = Date.now();
  const [cpuBefore, walBefore] = [await cpuSeconds(machine.processes()), await walPosition(machine)];
  for (let minute = 0; minute < minutes; minute++) {
    await source.edit(minute * tenants.length, Math.ceil(tenants.length / changedShare), `minute-${minute}`);
    // Each integration has its own second in the minute.
    await delay(minuteMs);
  }
  await configure([]);
  await allEnded(machine);
  const cpuAfter = await cpuSeconds(machine.processes());
  const wal = Number((await walPosition(machine)) - walBefore);
  const seconds = (Date.now() - from) / 1_000;

  const runs = await runsSince(machine, new Date(from));
  const done = runs.filter(({ outcome }) => outcome === 'succeeded');
  const picked = done.filter((_, index) => index % Math.ceil(done.length / sampleSize) === 0);
  const histories = await Promise.all(picked.map(({ launcher_id }) => readHistory(machine, launcher_id)));
  for (const [name, of] of tenants.slice(0, sampleSize)) {
    // Where the last tick was skipped, what has changed since is the next delta's.
    await machine.tidemark.sync({ integration: name, mode: 'delta' });
    await verify(machine, of, [name]);
  }
  const { bench: _, ...parts } = cpuAfter;
  const cpu = Object.fromEntries(Object.entries(parts).map(([part, now]) => [part, now - (cpuBefore[part] ?? 0)]));
  const result = {
    integrations: tenants.length,
    seconds,
    ticks: ticksOf(runs),
    runs: runs.length,
    succeeded: done.length,
    skipped: runs.filter(({ outcome }) => outcome === 'skipped').length,
    tickToEndS: percentiles(done.map(({ since_tick }) => since_tick)),
    startToEndS: percentiles(done.map(({ since_start }) => since_start)),
    cpuS: cpu,
    perDelta: {
      cpuMs: Object.fromEntries(Object.entries(cpu).map(([part, used]) => [part, (used / done.length) * 1_000])),
      walBytes: wal / done.length,
      events: median(histories.map(({ events }) => events)),
      activities: median(histories.map(({ activities }) => activities)),
      // The schedule itself is billed with two.
      actions: median(histories.map(({ actions }) => actions)) + 2,
    },
    workerRssMb: { idle, max: await machine.worker().maxRssMb() },
  };
  print(result);
  await append(machine, { scenario: 'many', source: source.name, users: source.users, ...result });
}

async function readCompletely({ tidemark }: BenchMachine, names: readonly string[]): Promise<void> {
  const waiting = [...names];
  const failures: unknown[] = [];
  const lane = async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const { outcome, reason } = await tidemark.sync({ integration: name, mode: 'complete' });
      if (outcome !== 'succeeded') throw new Error(`complete of ${name} ${outcome}: ${reason}`);
    }
  };
  // None is left at work when the first failure is told.
  const ending = (error: unknown) => {
    failures.push(error);
    waiting.length = 0;
  };
  await Promise.all(Array.from({ length: sideBySide }, () => lane().catch(ending)));
  if (failures.length > 0) throw failures[0];
}

/** Waits for the end of every workflow of a sync. */
async function allEnded({ temporal }: BenchMachine): Promise<void> {
  const query = `ExecutionStatus = 'Running' and (WorkflowType = 'launchSync' or WorkflowType = 'syncIntegration')`;
  while ((await temporal.workflow.count(query)).count > 0) await delay(1_000);
}

interface Run {
  readonly outcome: string;
  readonly launcher_id: string;
  /** Seconds to the run's end, from the tick of the schedule and from the start of its launcher. */
  readonly since_tick: number;
  readonly since_start: number;
}

/** A launcher's id ends with the time of its tick. */
async function runsSince({ store }: BenchMachine, since: Date): Promise<readonly Run[]> {
  const { rows } = await store.pool.query<Run>(
    `select outcome, launcher_id,
            extract(epoch from finished_at - substring(launcher_id from '\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z$')::timestamptz)::float8 as since_tick,
            extract(epoch from finished_at - requested_at)::float8 as since_start
       from tidemark.sync_run where requested_at >= $1 order by id`,
    [since],
  );
  return rows;
}

/** Ticks from the first of each schedule that was seen to its last: a launcher's id is the schedule's and the time of its tick. */
function ticksOf(runs: readonly Run[]): number {
  const seen = new Map<string, { first: number; last: number }>();
  for (const { launcher_id: id } of runs) {
    const [, schedule = '', time = ''] = /^(.*)-(\d{4}-\d\d-\d\dT[0-9:.]+Z)$/.exec(id) ?? [];
    const at = Date.parse(time);
    const { first, last } = seen.get(schedule) ?? { first: at, last: at };
    seen.set(schedule, { first: Math.min(first, at), last: Math.max(last, at) });
  }
  return [...seen.values()].reduce((ticks, { first, last }) => ticks + Math.round((last - first) / minuteMs) + 1, 0);
}

function percentiles(values: readonly number[]): Readonly<Record<'p50' | 'p95' | 'max', number>> {
  return { p50: quantile(values, 0.5), p95: quantile(values, 0.95), max: quantile(values, 1) };
}

interface ManyResult {
  readonly integrations: number;
  readonly seconds: number;
  readonly ticks: number;
  readonly runs: number;
  readonly succeeded: number;
  readonly skipped: number;
  readonly tickToEndS: Readonly<Record<string, number>>;
  readonly startToEndS: Readonly<Record<string, number>>;
  readonly cpuS: Readonly<Record<string, number>>;
  readonly perDelta: {
    readonly cpuMs: Readonly<Record<string, number>>;
    readonly walBytes: number;
    readonly events: number;
    readonly activities: number;
    readonly actions: number;
  };
  readonly workerRssMb: { readonly idle: number; readonly max: number };
}

function print(result: ManyResult): void {
  const { perDelta } = result;
  console.log(`\nmany: ${result.integrations} integrations with a delta every minute, ${Math.round(result.seconds)} s`);
  console.log(
    `  ${result.ticks} ticks: ${result.succeeded} succeeded, ${result.skipped} skipped, ${result.runs - result.succeeded - result.skipped} failed, ${result.ticks - result.runs} without a run`,
  );
  console.log(`  tick to end of the run, s: ${listed(result.tickToEndS, 2)}`);
  console.log(`  launcher's start to end of the run, s: ${listed(result.startToEndS, 2)}`);
  console.log(`  processor, s: ${listed(result.cpuS, 1)}`);
  console.log(`  a delta: processor, ms: ${listed(perDelta.cpuMs, 1)}; ${(perDelta.walBytes / 1_024).toFixed(1)} KB of WAL`);
  console.log(
    `  a delta with Temporal: ${perDelta.events} events, ${perDelta.activities} activities, ${perDelta.actions} actions (heartbeats aside)`,
  );
  console.log(`  worker: at most ${result.workerRssMb.max} MB resident, ${result.workerRssMb.idle} MB before`);
  const perSecond = imagined / 60;
  const cores = Object.fromEntries(Object.entries(perDelta.cpuMs).map(([part, ms]) => [part, (ms / 1_000) * perSecond]));
  console.log(`  calculated for ${imagined} integrations, a delta every minute each (${perSecond.toFixed(0)} deltas/s):`);
  console.log(`    processors: ${listed(cores, 1)}; ${((perDelta.walBytes * perSecond) / 1024 ** 2).toFixed(1)} MB/s of WAL`);
  console.log(
    `    Temporal: ${Math.round(perDelta.events * perSecond)} events/s, ${Math.round(perDelta.actions * perSecond)} actions/s, ${Math.round((perDelta.actions * perSecond * 86_400 * 30) / 1e6)} million actions a month`,
  );
}
