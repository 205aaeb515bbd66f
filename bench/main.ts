/** Measures Tidemark against raw reads of the same source. docs/performance.md tells about the scenarios and the options. */
import { parseArgs } from 'node:util';
import { startCsvSource } from './csv-source.ts';
import { directorySource } from './directory-source.ts';
import { identities } from './identities.ts';
import { type BenchMachine, type MachineOptions, startBenchMachine } from './machine.ts';
import { many } from './many.ts';
import { explaining, plans } from './plans.ts';
import { missingTool } from './raw-read.ts';
import { startSambaSource } from './samba-source.ts';
import { changed, delta, first, member, type Scenario, unchanged } from './scenarios.ts';
import { startSlapdSource } from './slapd-source.ts';
import type { BenchSource } from './source.ts';
import { startTableSource } from './table-source.ts';

interface Settings {
  readonly source: SourceName;
  readonly users: number;
  readonly rounds: number;
  readonly integrations: number;
  readonly minutes: number;
  readonly workerFlags: readonly string[];
}

type SourceName = BenchSource['name'];

const sources: Readonly<Record<SourceName, (undo: AsyncDisposableStack, users: number) => Promise<BenchSource>>> = {
  slapd: async (undo, users) => directorySource(await startSlapdSource(undo, users)),
  samba: async (undo, users) => directorySource(await startSambaSource(undo, users)),
  csv: startCsvSource,
  table: startTableSource,
};

/** Scenarios that go one after another on one machine. */
const scenarios: Readonly<Record<string, Scenario>> = { first, unchanged, changed, delta, member };

/** Scenarios that have a machine of their own. */
const exclusive: Readonly<Record<string, (settings: Settings) => Promise<void>>> = {
  identities: runIdentities,
  many: runMany,
  plans: runPlans,
};

const usage = `npm run bench -- SCENARIO... [--source ${Object.keys(sources).join('|')}] [--users N] [--rounds N] [--worker-flags="NODE OPTIONS"]
npm run bench -- identities [--users N] [--rounds N]
npm run bench -- many [--integrations N] [--users N] [--minutes N]
npm run bench -- plans [--source NAME] [--users N]
Scenarios: ${Object.keys(scenarios).join(', ')} (member: directories alone)`;

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
  source: values.source as SourceName,
  users: Number(values.users ?? (names[0] === 'many' ? 200 : 10_000)),
  rounds: Number(values.rounds),
  integrations: Number(values.integrations),
  minutes: Number(values.minutes),
  workerFlags: values['worker-flags'].split(' ').filter((flag) => flag !== ''),
};
const work = Object.hasOwn(sources, settings.source) ? choose(names) : undefined;
const { source } = settings;
const problem = work === undefined ? usage : source === 'slapd' || source === 'samba' ? missingTool(source) : undefined;
if (work === undefined || problem !== undefined) {
  console.error(problem);
  process.exitCode = 2;
} else {
  await work(settings);
}

/** What the names ask for; undefined if they make no sense. */
function choose([name = '', ...more]: readonly string[]): ((settings: Settings) => Promise<void>) | undefined {
  const alone = exclusive[name];
  if (alone !== undefined) return more.length === 0 ? alone : undefined;
  const chosen = [name, ...more].map((wanted) => scenarios[wanted]);
  if (chosen.includes(undefined)) return undefined;
  return ({ source, users, rounds, workerFlags }) =>
    withMachine(source, users, { workerFlags }, async (machine) => {
      for (const scenario of chosen) await scenario?.(machine, rounds);
    });
}

async function runMany({ users, integrations, minutes, workerFlags }: Settings): Promise<void> {
  await using undo = new AsyncDisposableStack();
  console.log(`Filling slapd with ${integrations} times ${users} users ...`);
  const directory = await startSlapdSource(undo, users, integrations);
  const machine = await startBenchMachine(undo, directorySource(directory), { workerFlags });
  await telling(() => many(machine, directory, minutes));
}

async function runIdentities({ users, rounds, workerFlags }: Settings): Promise<void> {
  await using undo = new AsyncDisposableStack();
  console.log(`Filling a table and a file with ${users} people each ...`);
  const [hr, accounts] = [await startTableSource(undo, users), await startCsvSource(undo, users)];
  const machine = await startBenchMachine(undo, hr, { workerFlags });
  await telling(() => identities(machine, hr, accounts, rounds));
}

async function runPlans({ source, users }: Settings): Promise<void> {
  await withMachine(source, users, { workerFlags: [], worker: 'here', postgres: explaining }, plans);
}

async function withMachine(
  source: SourceName,
  users: number,
  options: MachineOptions,
  use: (machine: BenchMachine) => Promise<void>,
): Promise<void> {
  await using undo = new AsyncDisposableStack();
  console.log(`Filling ${source} with ${users} users ...`);
  const machine = await startBenchMachine(undo, await sources[source](undo, users), options);
  await telling(() => use(machine));
}

/** Tells what went wrong while the servers still run: whatever then loses its connection fails too, and would be all that is heard of. */
async function telling(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
  }
}
