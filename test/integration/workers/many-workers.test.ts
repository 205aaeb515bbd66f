import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ChaosMachine, startChaosMachine } from '../../support/chaos-machine.ts';
import { expectWhole, musterCrew, syncAll } from '../../support/chaos-rounds.ts';
import type { Announcement } from '../../support/chaos-source.ts';

let machine: ChaosMachine;
beforeAll(async () => {
  machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
});
afterAll(() => machine?.[Symbol.asyncDispose]());

/** An activity of a run, whatever attempt it is in. */
const activityOf = ({ attempt }: Announcement) => attempt.split('/').slice(0, 2).join('/');

/** Which processes have carried out each step. */
function workersByStep(over: readonly Announcement[]): Readonly<Record<string, readonly number[]>> {
  const found: Record<string, Set<number>> = {};
  for (const { step, worker } of over) found[step] = (found[step] ?? new Set()).add(worker);
  return Object.fromEntries(Object.entries(found).map(([step, workers]) => [step, [...workers]]));
}

describe('many workers', () => {
  it.each([2, 4])(
    '%i processes share the work of eight integrations, each step done once',
    async (count) => {
      const members = Array.from({ length: 8 }, (_, n) => `${n}`);
      const crew = await musterCrew(machine, `shared-by-${count}`, members);
      await using workers = new AsyncDisposableStack();
      const pids: number[] = [];
      for (let n = 0; n < count; n += 1) pids.push(workers.use(await machine.startWorker(crew.taskQueue, crew.server)).pid);
      const { over } = crew.server;
      const idle = () => pids.filter((pid) => !over.some(({ worker }) => worker === pid));
      // Which worker gets a task is for Temporal to say: a few rounds at most until each has had one.
      for (let round = 0; round < 2 || (idle().length > 0 && round < 10); round += 1) {
        await crew.change();
        const endings = await syncAll(machine, crew, round % 2 === 0 ? 'complete' : 'delta');
        expect(endings.map(({ outcome }) => outcome)).toEqual(members.map(() => 'succeeded'));
      }
      expect(idle()).toEqual([]);
      expect(over.filter(({ result }) => result !== 'done')).toEqual([]);
      expect(new Set(over.map(activityOf)).size).toBe(over.length);
      await expectWhole(machine, crew);
    },
    600_000,
  );
});

describe('a task queue of its own', () => {
  it('has the steps that talk to the source done by its workers, and all others by those of the common one', async () => {
    const crew = await musterCrew(machine, 'common', ['near']);
    const far = 'common-far';
    await machine.configure({ [far]: { ...crew.block(far), taskQueue: 'far-network' } });
    await using common = await machine.startWorker(crew.taskQueue, crew.server);
    await using distant = await machine.startWorker('far-network', crew.server);
    for (const mode of ['complete', 'delta', 'complete'] as const) {
      await crew.change();
      const launchers = await Promise.all(['common-near', far].map((integration) => machine.launch(crew.taskQueue, { integration, mode })));
      for (const launcher of launchers) expect(await machine.ending(launcher)).toMatchObject({ outcome: 'succeeded' });
    }
    const { over } = crew.server;
    const at = (integration: string) => workersByStep(over.filter((announcement) => announcement.integration === integration));
    const [here, there] = [[common.pid], [distant.pid]];
    const steps = { begin: there, query: there, reread: there };
    const rest = { transform: here, lookup: here, upsert: here, membership: here, cleanup: here, commit: here };
    expect(at(far)).toEqual({ ...steps, ...rest });
    expect(at('common-near')).toEqual({ begin: here, query: here, reread: here, ...rest });
    await expectWhole(machine, crew);
  }, 600_000);
});
