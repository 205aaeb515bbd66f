import { expect, test } from 'vitest';
import { type ConformanceHarness, conformanceChecks, runCheck, tellReport } from '../conformance/index.ts';

const seed = Number(process.env.TIDEMARK_SEED ?? Math.floor(Math.random() * 2 ** 31));

/**
 * A test for each check of the conformance kit. `notShown`: checks that this source can't be made to show; one that it does show fails then.
 * `sequences`: random ones, unless `TIDEMARK_SEQUENCES` says otherwise.
 */
export function conforms(harness: () => ConformanceHarness, notShown: readonly string[], sequences = 20): void {
  test.each(conformanceChecks.map((check) => [check.name, check.title, check] as const))(
    '%s: %s',
    async (name, _, check) => {
      const tried = harness();
      const result = await runCheck(check, tried, { seed, sequences: Number(process.env.TIDEMARK_SEQUENCES ?? sequences) });
      const report = tellReport({ connector: tried.connector.type, seed, results: [result], passed: false });
      expect(result.outcome, report).toBe(notShown.includes(name) ? 'not shown' : 'shown');
    },
    10 * 60_000,
  );
}
