import { execFile } from 'node:child_process';
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { syncWorkflowId } from '../../model/workflow-ids.ts';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import { type Crew, expectWhole, holdInEveryStep, musterCrew, report, rounds, seed, steps, syncAll } from '../support/chaos-rounds.ts';

const run = promisify(execFile);

describe(`PostgreSQL's disk full in every step, ${rounds} rounds, TIDEMARK_SEED=${seed}`, () => {
  const undo = new AsyncDisposableStack();
  let machine: ChaosMachine;
  let crew: Crew;
  let mount: string;
  beforeAll(async () => {
    mount = await mkdtemp(join(tmpdir(), 'tidemark-disk-'));
    undo.defer(() => rm(mount, { recursive: true, force: true }));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=400m,mode=0755', 'tmpfs', mount]);
    undo.defer(async () => void (await run('umount', [mount])));
    machine = undo.use(
      await startChaosMachine({
        temporalCli: inject('temporalCli'),
        postgresDirectory: mount,
        // A write-ahead log that is never recycled, so that a full disk is felt at once.
        postgresSettings: { wal_recycle: 'off', wal_init_zero: 'off', max_wal_size: '64MB', shared_buffers: '16MB' },
      }),
    );
    crew = await musterCrew(machine, 'disk');
    await machine.startWorker(crew.taskQueue, crew.server);
    await syncAll(machine, crew, 'complete');
  });
  afterAll(() => undo.disposeAsync());

  it(
    'the runs go on by themselves when there is room again, whether PostgreSQL refused statements or went down',
    async () => {
      const tally = { refused: 0, down: 0 };
      for (let round = 0; round < rounds; round += 1) {
        const held = await holdInEveryStep(machine, crew, round);
        await fill(mount);
        held.release();
        const down = await feltBy(machine, crew);
        if (down.database) tally.down += 1;
        tally.refused += down.refused;
        await rm(join(mount, 'ballast'));
        await machine.restartPostgres();
        await crew.change();
        expect((await held.endings()).map(({ outcome, failure }) => failure ?? outcome)).toEqual(steps.map(() => 'succeeded'));
        await expectWhole(machine, crew);
      }
      expect(tally.refused).toBeGreaterThan(0);
      report('disk full for PostgreSQL', { rounds, faults: rounds, runsHit: rounds * steps.length, ...tally });
    },
    rounds * 300_000,
  );
});

/** Leaves not one block. */
async function fill(mount: string): Promise<void> {
  const { bavail, bsize } = await statfs(mount);
  await writeFile(join(mount, 'ballast'), Buffer.alloc(bavail * bsize - bsize)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOSPC') throw error;
  });
}

/** Waits until every run has ended or waits to try a step again, and says how many do. */
async function feltBy(machine: ChaosMachine, crew: Crew): Promise<{ readonly database: boolean; readonly refused: number }> {
  const refused = await machine.persist('the runs to end or to be refused', async () => {
    let waiting = 0;
    for (const { id } of crew.integrations) {
      const { status, raw } = await machine.temporal.workflow.getHandle(syncWorkflowId(id)).describe();
      if (status.name !== 'RUNNING') continue;
      if (!raw.pendingActivities?.some(({ lastFailure }) => lastFailure)) throw new Error(`${id} goes on`);
      waiting += 1;
    }
    return waiting;
  });
  return { refused, database: !(await machine.isPostgresUp()) };
}
