import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Runs every check and test, all of them even if one fails, and ends with the line `N passed, N failed`. Arguments go to vitest. */
const root = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'tidemark-report-'));
const report = join(scratch, 'report.json');

const checks: readonly (readonly [name: string, command: string, ...args: readonly string[]])[] = [
  ['what the tests need', 'node', 'test/support/install.ts'],
  ['format and lint', 'biome', 'ci', '--colors=off'],
  ['types', 'tsc', '-p', '.'],
  ['unused code and dependencies', 'knip'],
  ['build', 'node', 'workers/build.ts'],
];

function succeeds(name: string, command: string, args: readonly string[]): boolean {
  console.log(`\n## ${name}`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) console.error(error.message);
  if (status !== 0) console.error(`FAILED: ${name}`);
  return status === 0;
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** Absent if vitest did not get as far as a report. */
function readReport(): Report | undefined {
  try {
    return JSON.parse(readFileSync(report, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}

/** A line for each failed test of a file, or one if the file itself failed. */
function failuresOf({ name, message, assertionResults }: Report['testResults'][number]): readonly string[] {
  const failed = assertionResults.filter(({ status }) => status === 'failed');
  const file = relative(root, name);
  if (failed.length === 0) return message === '' ? [] : [`FAILED: ${file}: ${firstLine(message)}`];
  return failed.map(({ fullName, failureMessages }) => `FAILED: ${file}: ${fullName}: ${firstLine(failureMessages[0] ?? '')}`);
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

const failedChecks = checks.filter(([name, command, ...args]) => !succeeds(name, command, args)).length;
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const green = succeeds('tests', 'vitest', ['run', ...reporters, ...process.argv.slice(2)]);
const result = readReport();
rmSync(scratch, { recursive: true, force: true });
const passed = result?.numPassedTests ?? 0;
const failedTests = result?.numFailedTests ?? 0;
const failed = failedChecks + (failedTests === 0 && (!green || passed === 0) ? 1 : failedTests);
// Once more and short, because the end of a long output is what is read.
for (const line of result?.testResults.flatMap(failuresOf) ?? []) console.log(line);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
