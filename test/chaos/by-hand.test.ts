import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import {
  type Crew,
  countOf,
  expectWhole,
  holdInEveryStep,
  musterCrew,
  report,
  rounds,
  seed,
  steps,
  syncAll,
} from '../support/chaos-rounds.ts';
import { resetRun } from '../support/chaos-runs.ts';
import { eventually } from '../support/tidemark.ts';

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

  it.each(deeds)(
    '$name: the next run repairs the rest',
    async ({ name, do: act, endings }) => {
      const outcomes: string[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        await Promise.all(crew.integrations.map(({ id }, index) => act(machine, held.launchers[index] as string, syncWorkflowId(id))));
        await crew.change();
        held.release();
        const ended = (await held.endings()).map(({ outcome }) => outcome);
        outcomes.push(...ended);
        expect(ended.filter((outcome) => !endings.includes(outcome))).toEqual([]);
        // What outlives its launcher ends by itself.
        await Promise.all(crew.integrations.map(({ id }) => closed(syncWorkflowId(id))));
        await expectWhole(machine, crew);
      }
      report(name, { rounds, faults: rounds * steps.length, runsHit: rounds * steps.length, ...countOf('launcher', outcomes) });
    },
    rounds * 300_000,
  );

  function closed(workflowId: string) {
    return eventually(`the end of ${workflowId}`, async () => {
      const { status } = await machine.temporal.workflow.getHandle(workflowId).describe();
      return status.name !== 'RUNNING';
    });
  }
});
