import type { ConformanceCheck } from './check.ts';
import { conformanceChecks } from './checks/index.ts';
import type { ConformanceHarness } from './source.ts';
import { type ConformanceOptions, createTrial } from './trial.ts';
import { describe, Nonconformance, NotShownHere } from './verdicts.ts';

/** What came of one check. */
export type CheckResult = { readonly name: string; readonly title: string } & (
  | { readonly outcome: 'shown' }
  /** The source or the connector can't do what the check needs; nobody knows whether it would hold. */
  | { readonly outcome: 'not shown'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string; readonly cause: unknown }
);

/** What a connector was shown to do. */
export interface ConformanceReport {
  readonly connector: string;
  /** Drew the random changes. */
  readonly seed: number;
  readonly results: readonly CheckResult[];
  /** No check failed. Look at what was not shown all the same. */
  readonly passed: boolean;
}

function withDefaults(options: ConformanceOptions): Required<ConformanceOptions> {
  return { seed: Math.floor(Math.random() * 2 ** 31), sequences: 20, changes: 20, values: 2_000, members: 40, ...options };
}

/** Makes one check, on a source of its own. */
export async function runCheck(
  check: ConformanceCheck,
  harness: ConformanceHarness,
  options: ConformanceOptions = {},
): Promise<CheckResult> {
  const { name, title } = check;
  if (harness.pageSize < 2) throw new Error('The kit needs pages of two objects at least');
  try {
    await using source = await harness.newSource();
    await check.run(createTrial(harness, source, withDefaults(options)));
    return { name, title, outcome: 'shown' };
  } catch (error) {
    if (error instanceof NotShownHere) return { name, title, outcome: 'not shown', reason: error.message };
    const reason = error instanceof Nonconformance ? error.message : describe(error);
    return { name, title, outcome: 'failed', reason, cause: error };
  }
}

/** Makes all checks, or the named ones, one after the other. It does not throw if one fails. */
export async function runConformance(
  harness: ConformanceHarness,
  { only, ...options }: ConformanceOptions & { readonly only?: readonly string[] } = {},
): Promise<ConformanceReport> {
  const chosen = withDefaults(options);
  const unknown = only?.filter((name) => !conformanceChecks.some((check) => check.name === name)) ?? [];
  if (unknown.length > 0) throw new Error(`There is no check named ${unknown.join(', ')}`);
  const results: CheckResult[] = [];
  for (const check of conformanceChecks) {
    if (only === undefined || only.includes(check.name)) results.push(await runCheck(check, harness, chosen));
  }
  return { connector: harness.connector.type, seed: chosen.seed, results, passed: results.every(({ outcome }) => outcome !== 'failed') };
}

/** The report as text: a line for each check, and the reason beneath those that failed or were not shown. */
export function tellReport({ connector, seed, results }: ConformanceReport): string {
  const count = (outcome: CheckResult['outcome']): number => results.filter((result) => result.outcome === outcome).length;
  const lines = results.map((result) => {
    const line = `${result.outcome.padEnd(9)} ${result.name}: ${result.title}`;
    return result.outcome === 'shown' ? line : `${line}\n          ${result.reason.replaceAll('\n', '\n          ')}`;
  });
  return [
    `${connector}, seed ${seed}`,
    ...lines,
    `${count('shown')} shown, ${count('not shown')} not shown, ${count('failed')} failed`,
  ].join('\n');
}
