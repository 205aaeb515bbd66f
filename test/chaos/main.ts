/** Runs the fault tests at full size and says what was injected and what came of it. Usage: npm run chaos -- [--rounds N] [--moments N] [FILE...] */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '20' }, moments: { type: 'string', default: '200' } },
});
const scratch = mkdtempSync(join(tmpdir(), 'tidemark-chaos-report-'));
const report = join(scratch, 'report.jsonl');
const files = positionals.length > 0 ? positionals.map((name) => `test/chaos/${name}.test.ts`) : ['test/chaos'];
const { status } = spawnSync('vitest', ['run', '--project', 'servers', ...files], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    TIDEMARK_CHAOS_ROUNDS: values.rounds,
    TIDEMARK_CHAOS_MOMENTS: values.moments,
    TIDEMARK_CHAOS_REPORT: report,
  },
});
console.log(`\nFault | counts (tests that failed have no line; what they found stands above)\n--- | ---`);
for (const line of readLines(report)) {
  const { fault, ...counts } = JSON.parse(line) as { fault: string };
  const told = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  console.log(`${fault} | ${told.join(', ')}`);
}
rmSync(scratch, { recursive: true, force: true });
process.exitCode = status === 0 ? 0 : 1;

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').trim().split('\n');
  } catch {
    return [];
  }
}
