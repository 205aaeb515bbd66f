import type { ConformanceCheck } from '../check.ts';
import { expectAsReadAnew } from '../compare.ts';
import { freshCopy } from '../copy.ts';
import { randomChanges } from '../random-changes.ts';
import { describe, Nonconformance } from '../verdicts.ts';

/** Random sequences of changes against the oracle. */
export const randomChecks: readonly ConformanceCheck[] = [
  {
    name: 'random-changes',
    title: 'after random changes a delta leaves what a fresh complete read gives',
    async run(trial) {
      const { seed, sequences, changes } = trial.options;
      const random = await randomChanges(trial.source, seed);
      const copy = await freshCopy(trial);
      for (let sequence = 1; sequence <= sequences; sequence += 1) {
        await telling(random.log, async () => {
          for (let count = 0; count < changes; count += 1) await random.change();
          await copy.delta();
          await expectAsReadAnew(trial, copy, `after sequence ${sequence} of seed ${seed}`);
        });
      }
    },
  },
  {
    name: 'random-changes-while-reading',
    title: 'after random changes while a complete read or a delta is under way the next delta leaves what a fresh complete read gives',
    async run(trial) {
      const { source } = trial;
      const { seed, sequences, changes } = trial.options;
      const random = await randomChanges(source, seed + 1);
      const copy = await freshCopy(trial);
      const beforeRequest = 'notShown' in source.beforeRequest ? undefined : source.beforeRequest;
      for (let sequence = 1; sequence <= sequences; sequence += 1) {
        await telling(random.log, async () => {
          let left = changes;
          // One after the other, even if requests come side by side.
          let turn: Promise<unknown> = Promise.resolve();
          const some = async (): Promise<void> => {
            turn = turn.then(async () => {
              for (let count = random.pick(4); count > 0 && left > 0; count -= 1, left -= 1) await random.change();
            });
            await turn;
          };
          for (let count = 0; count < changes / 2; count += 1) await random.change();
          beforeRequest?.(some);
          try {
            await (sequence % 4 === 0 ? copy.complete(some) : copy.delta(some));
          } finally {
            beforeRequest?.(undefined);
            await turn;
          }
          // What changed while that one was reading may be left to the next.
          await copy.delta();
          await expectAsReadAnew(trial, copy, `after sequence ${sequence} of seed ${seed}, with changes while reading`);
        });
      }
    },
  },
];

/** Adds the changes that led to a finding. */
async function telling(log: readonly string[], work: () => Promise<void>): Promise<void> {
  const from = log.length;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Nonconformance)) throw error;
    throw new Nonconformance(`${describe(error)}\nThe changes of this sequence:\n${log.slice(from).join('\n')}`);
  }
}
