import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import {
  allClosed,
  type Crew,
  countOf,
  expectWhole,
  holdInEveryStep,
  musterCrew,
  report,
  rounds,
  seed,
  syncAll,
} from '../support/chaos-rounds.ts';
import { resetRun } from '../support/chaos-runs.ts';

/** What an operator does to the workflows of one integration, and how its launcher may end then. */
interface Deed {
  readonly name: string;
  readonly do: (machine: ChaosMachine, launcher: string, run: string) => Promise<unknown>;
  /** A run that has committed has succeeded, whatever is done to it then. */
  readonly endings: readonly string[];
}

const deeds: readonly Deed[] = [
  {
    name: 'the run is terminated',
    do: ({ temporal }, _, run) => temporal.workflow.getHandle(run).terminate('by the test'),
    endings: ['failed'],
  },
  {
    name: 'the launcher is terminated',
    do: ({ temporal }, launcher) => temporal.workflow.getHandle(launcher).terminate('by the test'),
    endings: ['terminated'],
  },
  {
    name: 'the run is cancelled',
    do: ({ temporal }, _, run) => temporal.workflow.getHandle(run).cancel(),
    endings: ['cancelled', 'succeeded'],
  },
  {
    name: 'the launcher is cancelled',
    do: ({ temporal }, launcher) => temporal.workflow.getHandle(launcher).cancel(),
    endings: ['cancelled', 'succeeded'],
  },
  { name: 'the run is reset', do: ({ temporal }, _, run) => resetRun(temporal, run), endings: ['succeeded', 'failed'] },
];

describe(`workflows ended by hand in every step, ${rounds} rounds, TIDEMARK_SEED=${seed}`, () => {
  let machine: ChaosMachine;
  let crew: Crew;
  beforeAll(async () => {
    machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
    crew = await musterCrew(machine, 'hand');
    await machine.startWorker(crew.taskQueue, crew.server);
    await syncAll(machine, crew, 'complete');
  });
  afterAll(() => machine?.[Symbol.asyncDispose]());

  it(
    'terminated, cancelled or reset, the run or its launcher: the next run repairs the rest',
    async () => {
      const outcomes = new Map(deeds.map(({ name }): [string, string[]] => [name, []]));
      // With several rounds every deed is done in every step as often as there are rounds.
      for (let round = 0; round < (rounds === 1 ? 1 : rounds * deeds.length); round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        const done = crew.integrations.map((_, index) => deeds[(index + round) % deeds.length] as Deed);
        await Promise.all(
          crew.integrations.map(({ id }, index) => done[index]?.do(machine, held.launchers[index] as string, syncWorkflowId(id))),
        );
        await crew.change();
        held.release();
        for (const [index, { outcome }] of (await held.endings()).entries()) {
          const { name, endings } = done[index] as Deed;
          expect(endings, name).toContain(outcome);
          outcomes.get(name)?.push(outcome);
        }
        await allClosed(machine, crew);
        await expectWhole(machine, crew);
      }
      for (const [name, ended] of outcomes) report(name, { faults: ended.length, runsHit: ended.length, ...countOf('launcher', ended) });
    },
    rounds * 600_000,
  );
});
