import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import { type Crew, expectWhole, holdInEveryStep, musterCrew, report, rounds, seed, steps, syncAll } from '../support/chaos-rounds.ts';

const faults = {
  PostgreSQL: { kill: (machine: ChaosMachine) => machine.killPostgres(), restart: (machine: ChaosMachine) => machine.restartPostgres() },
  Temporal: { kill: (machine: ChaosMachine) => machine.killTemporal(), restart: (machine: ChaosMachine) => machine.restartTemporal() },
};

describe(`kill -9 of a server in every step, ${rounds} rounds, TIDEMARK_SEED=${seed}`, () => {
  let machine: ChaosMachine;
  let crew: Crew;
  beforeAll(async () => {
    machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
    crew = await musterCrew(machine, 'servers');
    await machine.startWorker(crew.taskQueue, crew.server);
    await syncAll(machine, crew, 'complete');
  });
  afterAll(() => machine?.[Symbol.asyncDispose]());

  it.each(['PostgreSQL', 'Temporal'] as const)(
    'of %s: every run goes on by itself when it is back, and nothing is lost, doubled or deleted',
    async (name) => {
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        await faults[name].kill(machine);
        // What is held meets a server that is away.
        held.release();
        await crew.change();
        await faults[name].restart(machine);
        expect((await held.endings()).map(({ outcome, failure }) => failure ?? outcome)).toEqual(steps.map(() => 'succeeded'));
        await expectWhole(machine, crew);
      }
      report(`kill -9 of ${name}`, { rounds, faults: rounds, runsHit: rounds * steps.length });
    },
    rounds * 300_000,
  );
});
