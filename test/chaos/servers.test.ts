import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import {
  type Crew,
  expectWhole,
  holdInEveryStep,
  integrate,
  musterCrew,
  report,
  rounds,
  seed,
  smallSteps,
  steps,
  syncAll,
} from '../support/chaos-rounds.ts';

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

  it('of PostgreSQL inside the last step that applies anything: what was staged for it is gone, and the run reads again', async () => {
    const base = await musterCrew(machine, 'last-step', ['membership']);
    const { source } = base.server;
    const last: Crew = {
      ...base,
      // Cleanup would look whether what was staged is still there.
      block: (id) => ({ ...base.block(id), steps: { ...smallSteps, cleanup: { enabled: false } } }),
      change: async () => {
        source.put('groups', 'g0', { cn: 'Group 0' }, { member: ['u2', 'u3'] });
        // Deltas read again from the very last change on: the group's must not be that one.
        source.put('users', 'u1', { uid: 'user1', cn: 'Changed after it' }, { manager: ['u0'] });
      },
    };
    await integrate(machine, last);
    await machine.startWorker(last.taskQueue, last.server);
    await syncAll(machine, last, 'complete');
    await last.change();
    const [integration = ''] = last.integrations.map(({ id }) => id);
    // The first transaction takes the right to write, the second looks at the limits, then the lists are applied.
    const hold = last.server.hold(integration, { step: 'membership', point: 'committed', nth: 2 });
    const launcher = await machine.launch(last.taskQueue, { integration, mode: 'delta' });
    await hold.reached;
    await machine.killPostgres();
    await machine.restartPostgres();
    hold.release();
    expect((await machine.ending(launcher)).outcome).toBe('succeeded');
    await expectWhole(machine, last);
  });
});
