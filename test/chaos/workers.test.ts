import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import { type ChaosMachine, type ChaosWorker, startChaosMachine } from '../support/chaos-machine.ts';
import {
  type Crew,
  countOf,
  expectWhole,
  type HeldRuns,
  holdInEveryStep,
  musterCrew,
  report,
  rounds,
  seed,
  steps,
  syncAll,
} from '../support/chaos-rounds.ts';
import { eventually } from '../support/tidemark.ts';

describe(`workers killed and frozen in every step, ${rounds} rounds, TIDEMARK_SEED=${seed}`, () => {
  let machine: ChaosMachine;
  beforeAll(async () => {
    machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
  });
  afterAll(() => machine?.[Symbol.asyncDispose]());

  async function start(name: string): Promise<{ crew: Crew; worker: ChaosWorker }> {
    const crew = await musterCrew(machine, name);
    const worker = await machine.startWorker(crew.taskQueue, crew.server);
    await syncAll(machine, crew, 'complete');
    return { crew, worker };
  }

  /** The attempts that a worker was held in have ended, one way or another. */
  function zombiesOver({ server }: Crew, held: HeldRuns) {
    const attempts = new Set(held.at.map(({ worker, attempt }) => `${worker} ${attempt}`));
    const over = async () => {
      const found = server.over.filter(({ worker, attempt }) => attempts.has(`${worker} ${attempt}`));
      return found.length === attempts.size ? found : undefined;
    };
    return eventually('the end of the frozen attempts', over, 180_000);
  }

  it.concurrent(
    'kill -9 of one of two: the other one carries every run to its end',
    async () => {
      const { crew, worker } = await start('kill');
      let doomed = worker;
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        const survivor = await machine.startWorker(crew.taskQueue, crew.server);
        await doomed.kill();
        held.release();
        await crew.change();
        expect((await held.endings()).map(({ outcome, failure }) => failure ?? outcome)).toEqual(steps.map(() => 'succeeded'));
        await expectWhole(machine, crew);
        doomed = survivor;
      }
      report('kill -9 of a worker, another one there', { rounds, faults: rounds, runsHit: rounds * steps.length });
    },
    rounds * 600_000,
  );

  it.concurrent(
    'frozen until another one has carried its runs to their end: it writes nothing when it wakes up',
    async () => {
      const { crew, worker } = await start('retried');
      let zombie = worker;
      const results: string[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        const survivor = await machine.startWorker(crew.taskQueue, crew.server);
        zombie.freeze();
        held.release();
        await crew.change();
        expect((await held.endings()).map(({ outcome, failure }) => failure ?? outcome)).toEqual(steps.map(() => 'succeeded'));
        zombie.thaw();
        results.push(...(await zombiesOver(crew, held)).map(({ result = '' }) => result));
        await expectWhole(machine, crew);
        await zombie.kill();
        zombie = survivor;
      }
      report('SIGSTOP of a worker until its runs were retried', {
        rounds,
        faults: rounds,
        runsHit: rounds * steps.length,
        ...countOf('frozen attempt', results),
      });
    },
    rounds * 600_000,
  );

  it.concurrent(
    'frozen while its runs are terminated and others follow: it writes nothing when it wakes up',
    async () => {
      const { crew, worker } = await start('terminated');
      let zombie = worker;
      const results: string[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        zombie.freeze();
        held.release();
        for (const { id } of crew.integrations) await machine.temporal.workflow.getHandle(syncWorkflowId(id)).terminate('by the test');
        const survivor = await machine.startWorker(crew.taskQueue, crew.server);
        await crew.change();
        expect((await held.endings()).map(({ failure }) => failure?.type)).toEqual(steps.map(() => 'Terminated'));
        const next = await syncAll(machine, crew, round % 2 === 0 ? 'delta' : 'complete');
        expect(next.map(({ outcome, failure }) => failure ?? outcome)).toEqual(steps.map(() => 'succeeded'));
        zombie.thaw();
        results.push(...(await zombiesOver(crew, held)).map(({ result = '' }) => result));
        await expectWhole(machine, crew);
        await zombie.kill();
        zombie = survivor;
      }
      report('SIGSTOP of a worker until its runs were terminated and followed', {
        rounds,
        faults: rounds,
        runsHit: rounds * steps.length,
        ...countOf('frozen attempt', results),
      });
    },
    rounds * 600_000,
  );
});
