import { execFile } from 'node:child_process';
import { appendFile, readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { RunSummary } from '../model/run.ts';
import type { Store } from '../store/store.ts';

const run = promisify(execFile);
const results = fileURLToPath(new URL('results.jsonl', import.meta.url));

/** One measured quantity: its rounds in the order they were made. */
export interface Series {
  readonly name: string;
  readonly ms: readonly number[];
}

export interface Result {
  readonly scenario: string;
  readonly users: number;
  readonly objects: number;
  readonly links: number;
  readonly series: readonly Series[];
  /** Medians of Tidemark's steps, milliseconds. */
  readonly stepsMs: Readonly<Record<string, number>>;
  readonly workerMaxRssMb: { readonly idle: number; readonly after: number };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}

export function medianSteps(runs: readonly RunSummary[]): Readonly<Record<string, number>> {
  const names = [...new Set(runs.flatMap(({ steps }) => Object.keys(steps)))];
  return Object.fromEntries(names.map((name) => [name, median(runs.flatMap(({ steps }) => steps[name]?.durationMs ?? []))]));
}

/** Prints a result against its first series, and appends it with versions and machine facts to results.jsonl. */
export async function report(result: Result, store: Store): Promise<void> {
  const reference = median(result.series[0]?.ms ?? []);
  console.log(`\n${result.scenario}: ${result.users} users, ${result.objects} objects, ${result.links} links`);
  for (const { name, ms } of result.series) {
    const rounds = ms.map((value) => (value / 1_000).toFixed(2)).join(' ');
    const ratio = (median(ms) / reference).toFixed(2);
    console.log(`  ${name.padEnd(28)} median ${(median(ms) / 1_000).toFixed(2).padStart(6)} s   x${ratio}   rounds: ${rounds}`);
  }
  console.log(
    `  steps (median ms): ${Object.entries(result.stepsMs)
      .map(([step, ms]) => `${step} ${Math.round(ms)}`)
      .join(', ')}`,
  );
  console.log(`  worker, max RSS: ${result.workerMaxRssMb.after} MB (${result.workerMaxRssMb.idle} MB before the first sync)`);
  const line = { at: new Date().toISOString(), ...result, ...(await facts(store)) };
  await appendFile(results, `${JSON.stringify(line)}\n`);
}

async function facts(store: Store): Promise<Readonly<Record<string, unknown>>> {
  const { rows } = await store.pool.query<{ server_version: string }>('show server_version');
  const packages = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string;
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const commit = await run('git', ['rev-parse', '--short', 'HEAD']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  const samba = await run('/usr/sbin/samba', ['--version']);
  return {
    tidemark: packages.version,
    commit,
    node: process.version,
    nodeOptions: process.execArgv,
    postgres: rows[0]?.server_version,
    samba: samba.stdout.trim(),
    ldapts: packages.dependencies.ldapts,
    temporalSdk: packages.dependencies['@temporalio/worker'],
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    loadBefore: Number((await readFile('/proc/loadavg', 'utf8')).split(' ')[0]),
  };
}
