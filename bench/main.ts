/** Measures Tidemark against raw reads of the same directory. Usage: npm run bench -- ad-complete ad-delta [--users N] [--rounds N] */
import { parseArgs } from 'node:util';
import { Attribute, Change } from 'ldapts';
import type { RunSummary } from '../model/run.ts';
import { type BenchMachine, startBenchMachine } from './machine.ts';
import { bareLibrary, ldapsearch, whyNoLdapsearch } from './raw-read.ts';
import { medianSteps, type Result, report } from './report.ts';

interface Settings {
  readonly users: number;
  readonly rounds: number;
}

type Scenario = (machine: BenchMachine, settings: Settings) => Promise<readonly Result[]>;

interface Timed {
  readonly run: RunSummary;
  readonly ms: number;
}

/** From the start of the launcher to its result, which comes after the close of the run. */
async function timedSync({ tidemark }: BenchMachine, integration: string, mode: 'complete' | 'delta'): Promise<Timed> {
  const startedAt = performance.now();
  const { outcome, reason, run } = await tidemark.sync({ integration, mode });
  const ms = performance.now() - startedAt;
  if (outcome !== 'succeeded' || run === null) throw new Error(`${mode} of ${integration} ${outcome}: ${reason}`);
  return { run, ms };
}

/** First complete syncs, each of an integration of its own, in turn with raw reads. */
const adComplete: Scenario = async (machine, { users, rounds }) => {
  const names = Array.from({ length: rounds }, (_, index) => `round-${index + 1}`);
  await machine.configure(names);
  const idle = await machine.worker.maxRssMb();
  const raw: number[] = [];
  const library: number[] = [];
  const syncs: Timed[] = [];
  const unchanged: number[] = [];
  for (const name of names) {
    raw.push(await ldapsearch(machine.dc));
    library.push(await bareLibrary(machine.dc));
    syncs.push(await timedSync(machine, name, 'complete'));
    unchanged.push((await timedSync(machine, name, 'complete')).ms);
  }
  return [
    {
      scenario: 'ad-complete',
      users,
      ...sizeOf(syncs[0]?.run),
      series: [
        { name: 'ldapsearch, discarded', ms: raw },
        { name: 'ldapts alone, discarded', ms: library },
        { name: 'Tidemark, first complete', ms: syncs.map(({ ms }) => ms) },
        { name: 'Tidemark, complete again', ms: unchanged },
      ],
      stepsMs: medianSteps(syncs.map(({ run }) => run)),
      workerMaxRssMb: { idle, after: await machine.worker.maxRssMb() },
    },
  ];
};

/** Deltas that find nothing, and deltas of 100 changes. */
const adDelta: Scenario = async (machine, { users, rounds }) => {
  await machine.configure(['delta']);
  const idle = await machine.worker.maxRssMb();
  const first = await timedSync(machine, 'delta', 'complete');
  const empty: Timed[] = [];
  const busy: Timed[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    empty.push(await timedSync(machine, 'delta', 'delta'));
    await changeHundred(machine, round);
    busy.push(await timedSync(machine, 'delta', 'delta'));
  }
  const result = async (scenario: string, timed: readonly Timed[]): Promise<Result> => ({
    scenario,
    users,
    ...sizeOf(first.run),
    series: [{ name: 'Tidemark', ms: timed.map(({ ms }) => ms) }],
    stepsMs: medianSteps(timed.map(({ run }) => run)),
    workerMaxRssMb: { idle, after: await machine.worker.maxRssMb() },
  });
  return [await result('ad-delta, empty', empty), await result('ad-delta, 100 changes', busy)];
};

/** 85 people get another title, 5 are hired, 5 are put into groups, 5 leave. */
async function changeHundred({ dc, populated }: BenchMachine, round: number): Promise<void> {
  const client = await dc.client();
  const from = round * 100;
  const change = (operation: 'add' | 'replace', type: string, value: string): Change =>
    new Change({ operation, modification: new Attribute({ type, values: [value] }) });
  try {
    for (const dn of populated.users.slice(from, from + 85)) await client.modify(dn, change('replace', 'title', `Title ${round}`));
    for (let index = 0; index < 5; index += 1) {
      const hired = `CN=Hired ${round} ${index},${populated.peopleDn}`;
      await client.add(hired, { objectClass: 'user', sAMAccountName: `hired-${round}-${index}`, title: 'New' });
      await client.modify(populated.groups[round * 5 + index] ?? '', change('add', 'member', hired));
    }
    // The last ones lead nobody.
    for (const dn of populated.users.slice(-5 * round, round === 1 ? undefined : -5 * (round - 1))) await client.del(dn);
  } finally {
    await client.unbind();
  }
}

function sizeOf(run: RunSummary | undefined): { readonly objects: number; readonly links: number } {
  const objects = Object.values(run?.streams ?? {}).reduce((sum, { read }) => sum + read, 0);
  return { objects, links: run?.links.added ?? 0 };
}

const scenarios: Readonly<Record<string, Scenario>> = { 'ad-complete': adComplete, 'ad-delta': adDelta };

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { users: { type: 'string', default: '10000' }, rounds: { type: 'string', default: '5' } },
});
const chosen = positionals.flatMap((name) => scenarios[name] ?? []);
const complaint =
  chosen.length === 0 || chosen.length < positionals.length ? `Name scenarios: ${Object.keys(scenarios).join(', ')}` : undefined;
const problem = complaint ?? whyNoLdapsearch();
if (problem === undefined) {
  const settings = { users: Number(values.users), rounds: Number(values.rounds) };
  await using undo = new AsyncDisposableStack();
  console.log(`Filling a domain with ${settings.users} users ...`);
  const machine = await startBenchMachine(undo, settings.users);
  for (const scenario of chosen) for (const result of await scenario(machine, settings)) await report(result, machine.store);
} else {
  console.error(problem);
  process.exitCode = 2;
}
