/** Measures Tidemark against raw reads of the same directory. docs/performance.md tells about the scenarios and the options. */
import { parseArgs } from 'node:util';
import { type BenchMachine, type MachineOptions, startBenchMachine } from './machine.ts';
import { many } from './many.ts';
import { explaining, plans } from './plans.ts';
import { whyNoLdapsearch } from './raw-read.ts';
import { startSambaSource } from './samba-source.ts';
import { changed, delta, first, member, type Scenario, unchanged } from './scenarios.ts';
import { startSlapdSource } from './slapd-source.ts';
import type { BenchSource } from './source.ts';

interface Settings {
  readonly source: 'slapd' | 'samba';
  readonly users: number;
  readonly rounds: number;
  readonly integrations: number;
  readonly minutes: number;
  readonly workerFlags: readonly string[];
}

/** Scenarios that go one after another on one machine. */
const scenarios: Readonly<Record<string, Scenario>> = { first, unchanged, changed, delta, member };

const usage = `npm run bench -- SCENARIO... [--source slapd|samba] [--users N] [--rounds N] [--worker-flags="NODE OPTIONS"]
npm run bench -- many [--integrations N] [--users N] [--minutes N]
npm run bench -- plans [--source slapd|samba] [--users N]
Scenarios: ${Object.keys(scenarios).join(', ')}`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const { positionals: names, values } = parseArgs({
  allowPositionals: true,
  options: {
    source: { type: 'string', default: 'slapd' },
    users: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    integrations: { type: 'string', default: '500' },
    minutes: { type: 'string', default: '10' },
    'worker-flags': { type: 'string', default: '' },
  },
});
const settings: Settings = {
  source: values.source === 'samba' ? 'samba' : 'slapd',
  users: Number(values.users ?? (names[0] === 'many' ? 200 : 10_000)),
  rounds: Number(values.rounds),
  integrations: Number(values.integrations),
  minutes: Number(values.minutes),
  workerFlags: values['worker-flags'].split(' ').filter((flag) => flag !== ''),
};
const work = choose(names);
const problem = work === undefined ? usage : whyNoLdapsearch();
if (work === undefined || problem !== undefined) {
  console.error(problem);
  process.exitCode = 2;
} else {
  await work(settings);
}

/** What the names ask for; undefined if they make no sense. */
function choose([name, ...more]: readonly string[]): ((settings: Settings) => Promise<void>) | undefined {
  if (name === 'many' && more.length === 0) return runMany;
  if (name === 'plans' && more.length === 0) return runPlans;
  const chosen = [name ?? '', ...more].map((wanted) => scenarios[wanted]);
  if (chosen.includes(undefined)) return undefined;
  return (settings) =>
    withMachine(settings, { workerFlags: settings.workerFlags }, async (machine) => {
      for (const scenario of chosen) await scenario?.(machine, settings.rounds);
    });
}

async function runMany(settings: Settings): Promise<void> {
  await withMachine(
    { ...settings, source: 'slapd' },
    { workerFlags: settings.workerFlags },
    (machine) => many(machine, settings.minutes),
    settings.integrations,
  );
}

async function runPlans(settings: Settings): Promise<void> {
  await withMachine(settings, { workerFlags: [], worker: 'here', postgres: explaining }, plans);
}

async function withMachine(
  { source: name, users }: Settings,
  options: MachineOptions,
  use: (machine: BenchMachine) => Promise<void>,
  tenants?: number,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  console.log(`Filling ${name} with ${tenants === undefined ? '' : `${tenants} times `}${users} users ...`);
  const source: BenchSource = await (name === 'samba' ? startSambaSource(undo, users) : startSlapdSource(undo, users, tenants));
  await use(await startBenchMachine(undo, source, options));
}
