import { bareCopy } from './bare-copy.ts';
import type { BenchMachine } from './machine.ts';
import { type MeasuredSync, measured, measuredSync } from './measure.ts';
import { type Result, report, type Series } from './report.ts';
import { verify } from './verify.ts';

/** Measures one kind of work this many times, prints what it found and keeps it. Fails if the rows that come out are not the source's. */
export type Scenario = (machine: BenchMachine, rounds: number) => Promise<void>;

type Work = Pick<Result, 'others' | 'syncs'>;

/** First complete syncs, each of an integration of its own, in turn with raw reads; then PostgreSQL alone with the same rows. */
export const first: Scenario = async (machine, rounds) => {
  const names = Array.from({ length: rounds }, (_, index) => `first-${index + 1}`);
  await machine.configure(Object.fromEntries(names.map((name) => [name, {}])));
  await measuring(machine, 'first', names, async () => {
    const [readings, syncs]: [Series[][], MeasuredSync[]] = [[], []];
    for (const name of names) {
      readings.push(await readInTurn(machine));
      syncs.push(await measuredSync(machine, name, 'complete'));
    }
    const copies = await bareCopy(machine, names[0] ?? '', rounds);
    return { others: [...together(readings), { name: 'COPY and insert alone', rounds: copies }], syncs };
  });
};

/** Complete syncs of what has not changed since the last one. */
export const unchanged: Scenario = (machine, rounds) => completes(machine, 'unchanged', rounds, async () => undefined);

/** Complete syncs after one in a hundred users was given another title. */
export const changed: Scenario = (machine, rounds) =>
  completes(machine, 'changed', rounds, (round, name) => {
    const count = Math.ceil(machine.source.users / 100);
    return machine.source.edit((round * count) % (machine.source.users / 2), count, name);
  });

/** Deltas of none, 50, 500 and 5,000 changes, or as many as a tenth of the users allow. */
export const delta: Scenario = async (machine, rounds) => {
  const { source } = machine;
  for (const changes of [0, 50, 500, 5_000].filter((count) => count * rounds <= source.users)) {
    await deltas(machine, `delta of ${changes}`, rounds, (round) =>
      source.change(changes, `${changes}-${round}`, (round * changes) % (source.users / 2)),
    );
  }
};

/** Deltas after one person was put into the largest group. */
export const member: Scenario = async (machine, rounds) => {
  const { addMember, name } = machine.source;
  if (addMember === undefined) throw new Error(`${name} has no groups`);
  await deltas(machine, 'member', rounds, (round) => addMember(String(round)));
};

type Prepare = (round: number, name: string) => Promise<void>;

/** Complete syncs of the standing integration, each after `prepare`, in turn with raw reads. */
async function completes(machine: BenchMachine, scenario: string, rounds: number, prepare: Prepare): Promise<void> {
  await standing(machine);
  await measuring(machine, scenario, [stands], async () => {
    const [readings, syncs]: [Series[][], MeasuredSync[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      await prepare(round, `${scenario}-${round}`);
      readings.push(await readInTurn(machine));
      syncs.push(await measuredSync(machine, stands, 'complete'));
    }
    return { others: together(readings), syncs };
  });
}

/** Deltas of the standing integration, each after `prepare`, in turn with finding alone what has changed. */
async function deltas(machine: BenchMachine, scenario: string, rounds: number, prepare: Prepare): Promise<void> {
  await standing(machine);
  await measuring(machine, scenario, [stands], async () => {
    const [readings, syncs]: [Series[][], MeasuredSync[]] = [[], []];
    // A worker's first sync takes longer than all that follow: its code is compiled while it runs.
    await measuredSync(machine, stands, 'delta');
    for (let round = 0; round < rounds; round++) {
      const finding = await machine.source.finding();
      await prepare(round, `${scenario}-${round}`);
      readings.push([{ name: finding.name, rounds: [await measured(machine, () => finding.read())] }]);
      syncs.push(await measuredSync(machine, stands, 'delta'));
    }
    return { others: together(readings), syncs };
  });
}

const stands = 'standing';

/** The integration that all scenarios but the first one use; a delta brings it up to date. */
async function standing(machine: BenchMachine): Promise<void> {
  const { rowCount } = await machine.store.pool.query('select from tidemark.marker where integration_id = $1', [stands]);
  await machine.configure({ [stands]: {} });
  await measuredSync(machine, stands, rowCount === 0 ? 'complete' : 'delta');
}

/** Does the work with a fresh worker, verifies what came out, and reports. */
async function measuring(
  machine: BenchMachine,
  scenario: string,
  integrations: readonly string[],
  work: () => Promise<Work>,
): Promise<void> {
  await machine.restartWorker();
  const idle = await machine.worker().maxRssMb();
  const done = await work();
  const max = await machine.worker().maxRssMb();
  const verified = await verify(machine, machine.source, integrations);
  await report(machine, { scenario, ...done, ...(await sizeOf(machine, integrations[0] ?? '')), workerRssMb: { idle, max }, verified });
}

async function readInTurn(machine: BenchMachine): Promise<Series[]> {
  const series: Series[] = [];
  for (const { name, read } of machine.source.readings) series.push({ name, rounds: [await measured(machine, read)] });
  return series;
}

/** The series of several rounds, each of one measurement. */
function together(rounds: readonly (readonly Series[])[]): readonly Series[] {
  return (rounds[0] ?? []).map(({ name }, place) => ({ name, rounds: rounds.flatMap((series) => series[place]?.rounds ?? []) }));
}

async function sizeOf({ store }: BenchMachine, integration: string): Promise<Pick<Result, 'objects' | 'links'>> {
  const { rows } = await store.pool.query<{ objects: string; links: string }>(
    `select count(*) as objects, coalesce(sum((select count(*) from tidemark.link l where l.from_id = o.id)), 0) as links
       from tidemark.object o where o.integration_id = $1 and o.deleted_at is null`,
    [integration],
  );
  return { objects: Number(rows[0]?.objects), links: Number(rows[0]?.links) };
}
