import { afterAll, beforeAll, expect, test } from 'vitest';
import { conformanceChecks, runCheck, tellReport } from './index.ts';
import { type LdapHarness, startLdap } from './ldap-source.ts';

const seed = Number(process.env.TIDEMARK_SEED ?? Math.floor(Math.random() * 2 ** 31));
const sequences = Number(process.env.TIDEMARK_SEQUENCES ?? 20);

/** What OpenLDAP can not be made to do. */
const notShown: readonly string[] = ['repeated-object'];

let harness: LdapHarness;

beforeAll(async () => {
  harness = await startLdap();
});
afterAll(() => harness?.[Symbol.asyncDispose]());

test.each(conformanceChecks.map((check) => [check.name, check.title, check] as const))(
  '%s: %s',
  async (name, _, check) => {
    const result = await runCheck(check, harness, { seed, sequences });
    const report = tellReport({ connector: harness.connector.type, seed, results: [result], passed: false });
    expect(result.outcome, report).toBe(notShown.includes(name) ? 'not shown' : 'shown');
  },
  10 * 60_000,
);
