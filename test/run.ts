import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

interface Counts {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

/** Absent if vitest did not get as far as a report. */
function readCounts(): Counts | undefined {
  try {
    return JSON.parse(readFileSync(report, 'utf8')) as Counts;
  } catch {
    return undefined;
  }
}

const failedChecks = checks.filter(([name, command, ...args]) => !succeeds(name, command, args)).length;
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const green = succeeds('tests', 'vitest', ['run', ...reporters, ...process.argv.slice(2)]);
const counts = readCounts();
rmSync(scratch, { recursive: true, force: true });
const passed = counts?.numPassedTests ?? 0;
const failedTests = counts?.numFailedTests ?? 0;
const failed = failedChecks + (failedTests === 0 && (!green || passed === 0) ? 1 : failedTests);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
