import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { startPostgres } from '../../workers/embedded/postgres.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
let directory: string;
let installed: string;

/** The tests' own Node is first on PATH; what a user has is the machine's. */
const machinePath = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((entry) => !entry.startsWith(join(root, 'node_modules')))
  .join(delimiter);
const machine = { env: { ...process.env, PATH: machinePath }, maxBuffer: 64 * 1024 * 1024 };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tidemark-package-'));
  await chmod(directory, 0o755);
  await run('npm', ['pack', '--pack-destination', directory, '--silent'], { ...machine, cwd: root });
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const consumer = join(directory, 'consumer');
  await mkdir(consumer);
  await writeFile(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...flags, join(directory, `tidemark-${version}.tgz`)], { ...machine, cwd: consumer });
  installed = consumer;
}, 600_000);

afterAll(() => rm(directory, { recursive: true, force: true }));

test('the installed command works without install scripts, on the Node of the machine or on the one that came along', async () => {
  const { stdout } = await run(join(installed, 'node_modules', '.bin', 'tidemark'), ['--help'], { ...machine, cwd: installed });
  expect(stdout).toContain('Usage: tidemark');
});

test('the program API can be imported', async () => {
  const script = `import { TidemarkClient } from 'tidemark'; console.log(typeof TidemarkClient);`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { ...machine, cwd: installed });
  expect(stdout.trim()).toBe('function');
});

test('the conformance kit can be imported and run', async () => {
  const script = `
    import { conformanceChecks, runConformance, tellReport } from 'tidemark/conformance';
    const connector = { type: 'nothing' };
    const newSource = () => Promise.reject(new Error('no source'));
    console.log(conformanceChecks.length > 30, tellReport(await runConformance({ connector, pageSize: 2, newSource }, { only: ['seal'] })));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { ...machine, cwd: installed });
  expect(stdout).toMatch(/^true nothing, seed \d+\nfailed +seal: .*\n +Error: no source\n0 shown, 0 not shown, 1 failed\n$/);
});

test('the types resolve in a strict project', async () => {
  await writeFile(
    join(installed, 'check.ts'),
    [
      `import { TidemarkClient } from 'tidemark';`,
      `import { type ConformanceHarness, type ConformanceReport, runConformance } from 'tidemark/conformance';`,
      'export const client: typeof TidemarkClient = TidemarkClient;',
      'export const report = (harness: ConformanceHarness): Promise<ConformanceReport> => runConformance(harness, { seed: 1 });',
    ].join('\n'),
  );
  const compilerOptions = { strict: true, noEmit: true, module: 'NodeNext', target: 'ES2024', skipLibCheck: true, types: [] };
  await writeFile(join(installed, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['check.ts'] }));
  const tsc = join(root, 'node_modules', '.bin', 'tsc');
  const { stdout } = await run(tsc, ['-p', '.'], { cwd: installed }).catch((error: Error & { stdout: string }) => ({
    stdout: error.stdout,
  }));
  expect(stdout).toBe('');
});

test('the package holds the workflow bundle, and no tests or TypeScript sources', async () => {
  const home = join(installed, 'node_modules', 'tidemark');
  expect((await readFile(join(home, 'dist', 'workflow-bundle.js'))).length).toBeGreaterThan(100_000);
  const { workflowCode } = (await import(
    join(home, 'dist', 'workers', 'workflow-code.js')
  )) as typeof import('../../workers/workflow-code.ts');
  expect((await workflowCode()).workflowBundle.codePath).toBe(join(home, 'dist', 'workflow-bundle.js'));
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { ...machine, cwd: root });
  const [{ files }] = JSON.parse(stdout) as [{ files: readonly { path: string }[] }];
  const odd = files.filter(({ path }) => /^(test|bench)\/|^(?!examples\/).*(?<!\.d)\.ts$|bootstrap\.mjs$/.test(path));
  expect(odd).toEqual([]);
});

test('embedded PostgreSQL starts from the installed package, whose install scripts never ran', async () => {
  const entry = join(installed, 'node_modules', 'tidemark', 'dist', 'workers', 'embedded', 'postgres.js');
  const embedded = (await import(entry)) as { startPostgres: typeof startPostgres };
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
  const server = await embedded.startPostgres({ dataDir: join(directory, 'pg'), log });
  await server.stop();
  expect(await server.ended).toBe('exit code 0');
});
