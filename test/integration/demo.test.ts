import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/tidemark.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Where the demo keeps everything; it is in the command line or the environment of each of its processes. */
let scratch: string;

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tidemark-demo-test-'));
  await chmod(scratch, 0o755);
});

let running: ChildProcess | undefined;

afterEach(async () => {
  running?.kill('SIGTERM');
  await rm(scratch, { recursive: true, force: true });
});

/** The demo as `npm run demo` starts it, without a terminal; npm itself would not hand on a signal. */
function startDemo(...args: readonly string[]) {
  const child = spawn(process.execPath, ['cli/bootstrap.mjs', 'node', 'examples/demo/demo.ts', ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: scratch },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  const said = { out: '', errors: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.errors += text;
  });
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, said, code };
}

/** Command lines of the processes that belong to the demo. */
async function leftovers(): Promise<readonly string[]> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    processes.map(async (pid) => {
      const [command, environment] = await Promise.all(
        ['cmdline', 'environ'].map((file) => readFile(join('/proc', pid, file), 'utf8').catch(() => '')),
      );
      return `${command}${environment}`.includes(scratch) ? [(command ?? '').replaceAll('\0', ' ')] : [];
    }),
  );
  return found.flat();
}

test('the demo shows a complete sync, a delta, a skip, the proof and joined people, and leaves nothing behind', async () => {
  const { said, code } = startDemo();
  expect(await code, said.errors).toBe(0);
  expect(said.errors).toBe('');
  expect(said.out).toMatch(/run 1, complete: succeeded in [\d.]+ s, 2,\d{3} objects read, [\d,]+ a second/);
  expect(said.out).toMatch(/sealed: every listing was proven complete/);
  expect(said.out).toMatch(/run 2, delta: succeeded in/);
  expect(said.out).toMatch(/users +\d+ +12 +\d+ +5\n/);
  expect(said.out).toMatch(/delta: +skipped, because run 3 \(complete\) of corp-ad was running/);
  expect(said.out).toMatch(/4 +corp-ad +delta +skipped/);
  expect(said.out).toMatch(/2,\d{3} objects and \d,\d{3} links: identical/);
  expectPeople(said.out, ['corp-ad', 'hr-database']);
  expect(said.out).toMatch(/Temporal UI: http:\/\/127\.0\.0\.1:\d+/);
  await eventually('the end of all processes', async () => (await leftovers()).length === 0);
  expect(await readdir(scratch)).toEqual([]);
}, 300_000);

test("without a directory HR's database takes its part", async () => {
  const { said, code } = startDemo('--without-directory');
  expect(await code, said.errors).toBe(0);
  expect(said.errors).toBe('');
  expect(said.out).toContain("Without a directory; HR's database takes its part.");
  expect(said.out).toMatch(/users +\d+ +12 +\d+ +5\n/);
  expect(said.out).toMatch(/delta: +skipped, because run 3 \(complete\) of hr-database was running/);
  expect(said.out).toMatch(/2,045 objects and \d,\d{3} links: identical/);
  expectPeople(said.out, ['hr-database']);
  await eventually('the end of all processes', async () => (await leftovers()).length === 0);
  expect(await readdir(scratch)).toEqual([]);
}, 300_000);

function expectPeople(out: string, accounts: readonly string[]): void {
  expect(out).toMatch(/identities: 2,000 people in/);
  expect(out).toMatch(/identities, delta: 12 people came, 5 ended, 670 have something new/);
  expect(out).toMatch(/everything computed anew: 2,007 people, none of them changes/);
  expect(out).toMatch(/office = Berlin Mitte {2}from hr-file\/users 10000 .*found in hr-database\/sites site\/BER/);
  for (const name of accounts) expect(out).toMatch(new RegExp(`${name}/users .* joined by number with hr-file/users 10000`));
}

test('a demo that is told to stop in the middle leaves nothing behind', async () => {
  const { child, said, code } = startDemo('--keep');
  await eventually('the start of the complete sync', async () => said.out.includes('3. A complete sync'), 240_000);
  child.kill('SIGTERM');
  expect(await code).toBe(143);
  expect(said.errors).toBe('');
  await eventually('the end of all processes', async () => (await leftovers()).length === 0);
  expect(await readdir(scratch)).toEqual([]);
}, 300_000);
