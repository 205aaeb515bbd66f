import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import { type ChaosMachine, type ChaosWorker, startChaosMachine } from '../support/chaos-machine.ts';
import { allClosed, type Crew, countOf, expectWhole, moments, musterCrew, report, seed, syncAll } from '../support/chaos-rounds.ts';
import { resetRun } from '../support/chaos-runs.ts';

const kinds = [
  'kill a worker',
  'freeze a worker',
  'kill PostgreSQL',
  'kill Temporal',
  'cut the source',
  'terminate a run',
  'cancel a run',
  'reset a run',
] as const;

/** A fault at a moment that nobody has chosen. */
interface Fault {
  readonly kind: (typeof kinds)[number];
  readonly afterMs: number;
  /** How long a server is away or a worker is frozen. */
  readonly forMs: number;
  readonly victim: number;
}

const fault: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom(...kinds),
  afterMs: fc.integer({ min: 0, max: 3_000 }),
  forMs: fc.integer({ min: 0, max: 2_000 }),
  victim: fc.nat({ max: 3 }),
});

/** Faults between one look at everything and the next. */
const episodeLength = 5;

describe(`faults at ${moments} random moments, TIDEMARK_SEED=${seed}`, () => {
  let machine: ChaosMachine;
  let crew: Crew;
  const workers: ChaosWorker[] = [];
  beforeAll(async () => {
    machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
    crew = await musterCrew(machine, 'random', ['one', 'two', 'three', 'four']);
    for (let n = 0; n < 2; n += 1) workers.push(await machine.startWorker(crew.taskQueue, crew.server));
    await syncAll(machine, crew, 'complete');
  });
  afterAll(() => machine?.[Symbol.asyncDispose]());

  it(
    'while syncs go on without a pause: whatever was hit, the next runs leave what a fresh complete read would',
    async () => {
      const faults = fc.sample(fault, { seed, numRuns: moments });
      const endings: string[] = [];
      for (let start = 0; start < faults.length; start += episodeLength) {
        const episode = new AbortController();
        const busy = crew.integrations.map(({ id }) => keepSyncing(id, episode.signal, endings));
        for (const each of faults.slice(start, start + episodeLength)) {
          await delay(each.afterMs);
          await strike(each);
        }
        episode.abort();
        await Promise.all(busy);
        await allClosed(machine, crew);
        await expectWhole(machine, crew);
      }
      expect(endings.length).toBeGreaterThan(0);
      report('random moments', {
        faults: faults.length,
        syncs: endings.length,
        ...countOf(
          'fault:',
          faults.map(({ kind }) => kind),
        ),
        ...countOf('sync', endings),
      });
    },
    60_000 + moments * 30_000,
  );

  /** One sync after another, complete ones and deltas in turn, with changes of the source between them. */
  async function keepSyncing(integration: string, stop: AbortSignal, endings: string[]): Promise<void> {
    for (let n = 0; !stop.aborted; n += 1) {
      await crew.change();
      const launcher = await machine.launch(crew.taskQueue, { integration, mode: n % 3 === 0 ? 'complete' : 'delta' });
      const { outcome, failure } = await machine.ending(launcher);
      endings.push(failure ? failure.type : outcome);
    }
  }

  async function strike({ kind, forMs, victim }: Fault): Promise<void> {
    const worker = workers[victim % workers.length] as ChaosWorker;
    const run = syncWorkflowId(crew.integrations[victim]?.id as string);
    const handle = machine.temporal.workflow.getHandle(run);
    switch (kind) {
      case 'kill a worker':
        await worker.kill();
        workers[victim % workers.length] = await machine.startWorker(crew.taskQueue, crew.server);
        return;
      case 'freeze a worker':
        worker.freeze();
        await delay(forMs);
        worker.thaw();
        return;
      case 'kill PostgreSQL':
        await machine.killPostgres();
        await delay(forMs);
        return machine.restartPostgres();
      case 'kill Temporal':
        await machine.killTemporal();
        await delay(forMs);
        return machine.restartTemporal();
      case 'cut the source': {
        let left = 1;
        crew.server.cut = () => left-- > 0;
        return;
      }
      // No run may be open at this moment.
      case 'terminate a run':
        return void (await handle.terminate('by the test').catch(() => undefined));
      case 'cancel a run':
        return void (await handle.cancel().catch(() => undefined));
      case 'reset a run':
        return resetRun(machine.temporal, run).catch(() => undefined);
    }
  }
});
