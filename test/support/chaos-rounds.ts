import { appendFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { RequestedMode } from '../../model/run.ts';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import type { ChaosMachine } from './chaos-machine.ts';
import { type Announcement, type ChaosServer, type HeldStep, points } from './chaos-source.ts';
import { brokenFeed, brokenFence, wrongDeletions } from './chaos-witness.ts';
import type { ScriptedSource } from './scripted-source.ts';
import { type Ending, eventually, objectsOf } from './tidemark.ts';

/** Every step of a run, in order. */
export const steps = ['begin', 'query', 'reread', 'transform', 'lookup', 'upsert', 'membership', 'cleanup', 'commit'] as const;

/** Small, so that steps have several batches; the limits let every deletion of a test pass. */
export const smallSteps = {
  query: { pageSize: 4 },
  upsert: { batchSize: 3 },
  cleanup: { limits: { count: 1_000, percent: 100, floor: 1_000 } },
  membership: { limits: { count: 1_000, percent: 100, floor: 1_000 } },
};

/** How much is tried: rounds for each step and fault, and random moments. `npm run chaos` sets both. */
export const rounds = Number(process.env.TIDEMARK_CHAOS_ROUNDS ?? 1);
export const moments = Number(process.env.TIDEMARK_CHAOS_MOMENTS ?? 10);
export const seed = Number(process.env.TIDEMARK_SEED ?? Date.now() % 2 ** 31);

/** Adds a line to the report, if one was asked for. `counts`: what was done and what came of it. */
export function report(fault: string, counts: Readonly<Record<string, number>>): void {
  const file = process.env.TIDEMARK_CHAOS_REPORT;
  if (file) appendFileSync(file, `${JSON.stringify({ fault, seed, ...counts })}\n`);
}

type Edit =
  | { readonly kind: 'change'; readonly user: number; readonly text: string }
  | { readonly kind: 'remove' | 'return'; readonly user: number }
  | { readonly kind: 'manager'; readonly user: number; readonly manager: number }
  | { readonly kind: 'members'; readonly group: number; readonly members: readonly number[] };

const people = 14;
/** These are never removed. */
const staff = 6;
const user = fc.integer({ min: 0, max: people - 1 });
const leaver = fc.integer({ min: staff, max: people - 1 });
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('change' as const), user, text: fc.string({ unit: 'grapheme', maxLength: 8 }) }),
  fc.record({ kind: fc.constantFrom('remove' as const, 'return' as const), user: leaver }),
  fc.record({ kind: fc.constant('manager' as const), user, manager: user }),
  fc.record({ kind: fc.constant('members' as const), group: fc.integer({ min: 0, max: 2 }), members: fc.uniqueArray(user) }),
);

function populate(source: ScriptedSource): void {
  for (let n = 0; n < people; n += 1) source.put('users', `u${n}`, { uid: `user${n}`, cn: `User ${n}` }, { manager: n > 0 ? ['u0'] : [] });
  for (let n = 0; n < 3; n += 1) source.put('groups', `g${n}`, { cn: `Group ${n}` }, { member: [`u${n}`, 'u4', 'u8', 'u13'] });
}

let round = 0;

function mutate(source: ScriptedSource): void {
  round += 1;
  const edits: readonly Edit[] = fc.sample(edit, { seed: seed + round, numRuns: 6 });
  const gone = people - 1 - (round % 2);
  const back = people - 1 - ((round + 1) % 2);
  const sure: readonly Edit[] = [
    { kind: 'change', user: 1, text: `round ${round}` },
    { kind: 'return', user: back },
    { kind: 'members', group: 0, members: [round % staff, 4, back] },
    { kind: 'remove', user: gone },
  ];
  for (const each of [...edits, ...sure]) applyEdit(source, each);
}

function applyEdit(source: ScriptedSource, edit: Edit): void {
  if (edit.kind === 'members') {
    const id = `g${edit.group}`;
    source.put('groups', id, { cn: `Group ${edit.group}` }, { member: edit.members.map((member) => `u${member}`) });
    return;
  }
  const id = `u${edit.user}`;
  const entry = source.entries.get(id);
  if (!entry) return;
  if (edit.kind === 'return' ? !entry.gone : entry.gone) return;
  if (edit.kind === 'remove') source.remove(id);
  else if (edit.kind === 'return') source.put('users', id, entry.attributes, entry.links);
  else if (edit.kind === 'change') source.put('users', id, { ...entry.attributes, cn: `User ${edit.text}` }, entry.links);
  else if (edit.kind === 'manager') source.put('users', id, entry.attributes, { manager: [`u${edit.manager}`] });
}

/** Integrations of one source, with a task queue of their own; one for each step, so that one fault hits a run in every step. */
export interface Crew {
  /** The doors of its workers, and its source unless that is another one. */
  readonly server: ChaosServer;
  readonly taskQueue: string;
  readonly integrations: readonly { readonly id: string; readonly step: string }[];
  /** Changes the source so that every step of the next run has something to write. */
  readonly change: () => Promise<void>;
  /** How often the source has removed an object, by the object's id. */
  readonly removals: ReadonlyMap<string, number>;
  /** What stands in the configuration of an integration of this source. */
  readonly block: (id: string) => object;
}

/** A crew of the chaos source; `members`: the steps, or whatever else each integration stands for. */
export async function musterCrew(machine: ChaosMachine, name: string, members: readonly string[] = steps): Promise<Crew> {
  const server = await machine.startServer();
  const { source, removals } = server;
  populate(source);
  const crew: Crew = {
    server,
    taskQueue: name,
    integrations: members.map((step) => ({ id: `${name}-${step}`, step })),
    change: async () => mutate(source),
    removals,
    block: (reader) => ({ connector: 'chaos', settings: { url: server.url, reader }, steps: smallSteps }),
  };
  await integrate(machine, crew);
  return crew;
}

/** Stores the configuration of a crew. */
export function integrate(machine: ChaosMachine, crew: Crew): Promise<void> {
  return machine.configure(Object.fromEntries(crew.integrations.map(({ id }) => [id, crew.block(id)])));
}

export async function syncAll(machine: ChaosMachine, crew: Crew, mode: RequestedMode): Promise<readonly Ending[]> {
  const launchers = await Promise.all(crew.integrations.map(({ id }) => machine.launch(crew.taskQueue, { integration: id, mode })));
  return Promise.all(launchers.map((launcher) => machine.ending(launcher)));
}

/** A run of every integration of a crew, each held in its own step. */
export interface HeldRuns {
  readonly launchers: readonly string[];
  readonly at: readonly Announcement[];
  /** Lets everything go on that still can. */
  release(): void;
  endings(): Promise<readonly Ending[]>;
}

/**
 * Starts a run of each integration and waits until it is in its step: at another point of it in each round, in complete runs and deltas in
 * turn.
 */
export async function holdInEveryStep(machine: ChaosMachine, crew: Crew, round: number): Promise<HeldRuns> {
  await crew.change();
  const held = await Promise.all(
    crew.integrations.map(async ({ id, step }, index): Promise<{ hold: HeldStep; launcher: string }> => {
      const point = points[(round + index) % points.length] ?? 'start';
      const hold = crew.server.hold(id, { step, point, nth: 1 + (Math.floor(round / points.length) % 3) });
      const mode = (round + index) % 3 === 0 ? 'complete' : 'delta';
      return { hold, launcher: await machine.launch(crew.taskQueue, { integration: id, mode }) };
    }),
  );
  const at = await Promise.all(
    held.map(async ({ hold, launcher }) => {
      const early = machine
        .ending(launcher)
        .then((ending) => Promise.reject(new Error(`${launcher} was not held: ${JSON.stringify(ending)}`)));
      early.catch(() => undefined);
      return Promise.race([hold.reached, early]);
    }),
  );
  const launchers = held.map(({ launcher }) => launcher);
  return {
    launchers,
    at,
    release: () => held.forEach(({ hold }) => void hold.release()),
    endings: () => Promise.all(launchers.map((launcher) => machine.ending(launcher))),
  };
}

let oracles = 0;

/**
 * What must be true after any fault, once the next runs have ended well: the stored objects and links are those of a fresh integration's
 * complete read, nothing was deleted that the source had not removed, no superseded writer wrote, and the change feed tells exactly what is
 * stored.
 */
export async function expectWhole(machine: ChaosMachine, crew: Crew): Promise<void> {
  const { store } = machine;
  expect((await syncAll(machine, crew, 'delta')).filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
  oracles += 1;
  const oracle = `${crew.taskQueue}-oracle-${oracles}`;
  await machine.configure({ [oracle]: crew.block(oracle) });
  const ending = await machine.ending(await machine.launch(crew.taskQueue, { integration: oracle, mode: 'complete' }));
  expect(ending.outcome).toBe('succeeded');
  const expected = await objectsOf(store, oracle);
  const ids = crew.integrations.map(({ id }) => id);
  for (const id of ids) expect(await objectsOf(store, id), id).toEqual(expected);
  expect(await wrongDeletions(store.pool, ids, crew.removals)).toEqual([]);
  for (const id of ids) expect(await brokenFeed(store.pool, id)).toEqual([]);
  expect(await brokenFence(store.pool)).toEqual([]);
  await expectNoOpenRuns(machine, ids);
}

/** Waits for the end of what outlives its launcher: a run whose launcher was terminated, a run that was reset. */
export async function allClosed(machine: ChaosMachine, crew: Crew): Promise<void> {
  for (const { id } of crew.integrations) {
    const run = machine.temporal.workflow.getHandle(syncWorkflowId(id));
    await eventually(`the end of the runs of ${id}`, async () => (await run.describe()).status.name !== 'RUNNING', 120_000);
  }
}

/** No run is recorded as running, and Temporal has none open, of any of these integrations. */
async function expectNoOpenRuns(machine: ChaosMachine, ids: readonly string[]): Promise<void> {
  const { rows } = await machine.store.pool.query(
    `select id, integration_id from tidemark.sync_run where integration_id = any($1) and outcome = 'running'`,
    [ids],
  );
  expect(rows).toEqual([]);
  const open = await Promise.all(
    ids.map(async (id) => (await machine.temporal.workflow.getHandle(syncWorkflowId(id)).describe()).status.name),
  );
  expect(open).not.toContain('RUNNING');
}

/** Counts outcomes, each under the name of what ended so. */
export function countOf(name: string, outcomes: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[`${name} ${outcome}`] = (counts[`${name} ${outcome}`] ?? 0) + 1;
  return counts;
}
