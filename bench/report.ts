import { execFile } from 'node:child_process';
import { appendFile, readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BenchMachine } from './machine.ts';
import type { Measured, MeasuredSync } from './measure.ts';

const run = promisify(execFile);
const results = fileURLToPath(new URL('results.jsonl', import.meta.url));

/** One measured quantity: its rounds in the order they were made. */
export interface Series {
  readonly name: string;
  readonly rounds: readonly Measured[];
}

export interface Result {
  readonly scenario: string;
  /** Objects and links that the source has. */
  readonly objects: number;
  readonly links: number;
  /** What Tidemark is compared with; the first is what ratios are of. */
  readonly others: readonly Series[];
  readonly syncs: readonly MeasuredSync[];
  /** Resident memory of a fresh worker before its first sync, and the most it ever had. */
  readonly workerRssMb: { readonly idle: number; readonly max: number };
  /** What of the stored rows was found equal to the source's. */
  readonly verified: string;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which this share of the values lies, between two of them if need be. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const [below = Number.NaN, above = Number.NaN] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

/** Prints a result against its first series, and appends it to results.jsonl. */
export async function report(machine: BenchMachine, result: Result): Promise<void> {
  const { scenario, objects, links, others, syncs, workerRssMb, verified } = result;
  const { source } = machine;
  const series = [...others, { name: 'Tidemark', rounds: syncs }];
  const reference = others[0]?.rounds ?? syncs;
  console.log(`\n${scenario}: ${source.name}, ${source.users} users, ${objects} objects, ${links} links`);
  for (const { name, rounds } of series) {
    const ratio = median(rounds.map(wall)) / median(reference.map(wall));
    const cpuRatio = median(rounds.map(cpu)) / median(reference.map(cpu));
    console.log(
      `  ${name.padEnd(30)} median ${seconds(median(rounds.map(wall))).padStart(7)} s  x${ratio.toFixed(2).padStart(5)}` +
        `   processor ${median(rounds.map(cpu)).toFixed(2).padStart(6)} s  x${cpuRatio.toFixed(2).padStart(5)}   rounds: ${rounds.map((round) => seconds(round.ms)).join(' ')}`,
    );
  }
  const typical = {
    ms: median(syncs.map(wall)),
    steps: medianByKey(
      syncs.map(({ run: { steps } }) => Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, step.durationMs]))),
    ),
    cpu: medianByKey(syncs.map((sync) => sync.cpu)),
    walBytes: median(syncs.map(({ walBytes }) => walBytes)),
    events: median(syncs.map(({ history }) => history.events)),
    launcherEvents: median(syncs.map(({ history }) => history.launcherEvents)),
    activities: median(syncs.map(({ history }) => history.activities)),
    actions: median(syncs.map(({ history }) => history.actions)),
  };
  const read = median(syncs.map(({ run: { streams } }) => Object.values(streams).reduce((sum, stream) => sum + stream.read, 0)));
  const beyondMs = typical.ms - median(reference.map(wall));
  console.log(
    `  ${seconds(beyondMs)} s beyond ${series[0]?.name}; ${Math.round(read / (typical.ms / 1_000))} objects/s (${read} read), ${(typical.walBytes / 1024 ** 2).toFixed(1)} MB of WAL`,
  );
  console.log(`  steps, ms: ${listed(typical.steps, 0)}`);
  console.log(`  processor, s: ${listed(typical.cpu, 2)}`);
  console.log(
    `  Temporal: ${typical.events} events (${typical.launcherEvents} of the launcher), ${typical.activities} activities, ${typical.actions} actions`,
  );
  console.log(`  worker: at most ${workerRssMb.max} MB resident, ${workerRssMb.idle} MB before its first sync`);
  console.log(`  verified: ${verified}`);
  const summary = { ...typical, read, beyondMs, ratio: typical.ms / median(reference.map(wall)) };
  await append(machine, {
    scenario,
    source: source.name,
    users: source.users,
    objects,
    links,
    series: series.map(({ name, rounds }) => ({ name, ms: rounds.map(wall).map(Math.round), cpu: rounds.map(({ cpu: of }) => of) })),
    summary,
    workerRssMb,
    verified,
  });
}

/** Appends a line to results.jsonl, with versions and machine facts. */
export async function append(machine: BenchMachine, line: Readonly<Record<string, unknown>>): Promise<void> {
  const rounded = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(3)) : value);
  await appendFile(results, `${JSON.stringify({ at: new Date().toISOString(), ...line, ...(await facts(machine)) }, rounded)}\n`);
}

function wall({ ms }: Measured): number {
  return ms;
}

function cpu({ cpu: of }: Measured): number {
  return Object.values(of).reduce((sum, part) => sum + part, 0);
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(2);
}

function medianByKey(rounds: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const names = [...new Set(rounds.flatMap((round) => Object.keys(round)))];
  return Object.fromEntries(names.map((name) => [name, median(rounds.flatMap((round) => round[name] ?? []))]));
}

/** Figures by name, in one line. */
export function listed(values: Readonly<Record<string, number>>, digits: number): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value.toFixed(digits)}`)
    .join(', ');
}

async function facts({ source, store, workerFlags }: BenchMachine): Promise<Readonly<Record<string, unknown>>> {
  const { rows } = await store.pool.query<{ server_version: string }>('show server_version');
  const packages = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const commit = await run('git', ['rev-parse', '--short', 'HEAD']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  return {
    tidemark: packages.version,
    commit,
    node: process.version,
    workerFlags,
    postgres: rows[0]?.server_version,
    [source.name]: source.version,
    ldapts: packages.dependencies.ldapts,
    temporalSdk: packages.dependencies['@temporalio/worker'],
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    // More than the bench's own load: the machine is shared, and wall-clock times are to be taken with care.
    loadNow: Number((await readFile('/proc/loadavg', 'utf8')).split(' ')[0]),
  };
}
