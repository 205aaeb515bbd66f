import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Log } from '../../connectors/connector.ts';
import { startPostgres } from '../../workers/embedded/postgres.ts';
import { startTemporal } from '../../workers/embedded/temporal.ts';
import { createDatabase } from '../support/postgres.ts';
import { connectTemporal, searchAttributes } from '../support/temporal.ts';

const log: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tidemark-embedded-'));
  await chmod(directory, 0o755);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('embedded PostgreSQL', () => {
  test('keeps its data across restarts, even when a lock file names a process that is something else', async () => {
    const dataDir = join(directory, 'pg');
    const first = await startPostgres({ dataDir, log });
    await query(first.url, 'create table kept as select 1 as one');
    const lock = await readFile(join(dataDir, 'postmaster.pid'), 'utf8');
    await first.stop();
    await writeFile(join(dataDir, 'postmaster.pid'), lock.replace(/^\d+/, String(process.pid)), { mode: 0o600 });
    const second = await startPostgres({ dataDir, log });
    try {
      expect(await query(second.url, 'select one from kept')).toEqual([{ one: 1 }]);
    } finally {
      await second.stop();
    }
  });

  test('refuses a data directory that is in use, and says by whom', async () => {
    const dataDir = join(directory, 'pg');
    const first = await startPostgres({ dataDir, log });
    try {
      await expect(startPostgres({ dataDir, log })).rejects.toThrow(/is in use by the PostgreSQL with process id \d+\. Stop/);
    } finally {
      await first.stop();
    }
  });

  test('two first starts at once on one data directory leave exactly one server', async () => {
    const dataDir = join(directory, 'pg');
    const starts = await Promise.allSettled([startPostgres({ dataDir, log }), startPostgres({ dataDir, log })]);
    const servers = starts.filter((start) => start.status === 'fulfilled').map((start) => start.value);
    for (const server of servers) await server.stop();
    expect(servers).toHaveLength(1);
    const [refused] = starts.filter((start) => start.status === 'rejected');
    expect(String(refused?.reason)).toContain('is in use by');
  });

  test('ends when the process that started it is killed, and can be started again', async () => {
    const dataDir = join(directory, 'pg');
    const script = `
      import { startPostgres } from ${JSON.stringify(new URL('../../workers/embedded/postgres.ts', import.meta.url).href)};
      const log = { debug() {}, info() {}, warn() {} };
      await startPostgres({ dataDir: ${JSON.stringify(dataDir)}, log });
      console.log('ready');
    `;
    const owner = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(owner.stdout, 'data');
    owner.kill('SIGKILL');
    await expect.poll(() => existsSync(join(dataDir, 'postmaster.pid')), { timeout: 60_000 }).toBe(false);
    const again = await startPostgres({ dataDir, log });
    await again.stop();
  });

  test('asks for the password, which only the owner can read', async () => {
    const dataDir = join(directory, 'pg');
    const server = await startPostgres({ dataDir, log });
    try {
      expect((await stat(`${dataDir}.password`)).mode & 0o777).toBe(0o600);
      const wrong = new URL(server.url);
      wrong.password = 'wrong';
      await expect(query(wrong.href, 'select 1')).rejects.toThrow('password authentication failed');
    } finally {
      await server.stop();
    }
  });

  test('orders text by its bytes', async () => {
    await using database = await createDatabase();
    const rows = await query(database.url, `select v from (values ('a'), ('B'), ('_'), ('é'), ('z'), ('-')) as t(v) order by v`);
    expect(rows.map(({ v }) => v)).toEqual(['-', 'B', '_', 'a', 'z', 'é']);
  });

  test.runIf(process.getuid?.() === 0)('run by root, puts data that its own user could not reach where it can', async () => {
    const home = join(directory, 'home');
    await mkdir(home, { mode: 0o700 });
    const dataDir = join(home, 'pg');
    const server = await startPostgres({ dataDir, log });
    try {
      expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    } finally {
      await server.stop();
      const target = await realpath(dataDir);
      await rm(target, { recursive: true, force: true });
      await rm(`${target}.owner`, { force: true });
    }
  });
});

describe('embedded Temporal', () => {
  test('knows the search attributes, and keeps workflows across restarts', async () => {
    await using shared = await connectTemporal();
    const { cli } = shared;
    const dbFile = join(directory, 'temporal.db');
    for (const round of ['first', 'second']) {
      const server = await startTemporal({ cli, dbFile, headless: true, searchAttributes, log });
      const connection = await Connection.connect({ address: server.address });
      try {
        const client = new Client({ connection });
        if (round === 'first') await client.workflow.start('anything', { workflowId: 'kept', taskQueue: 'nobody' });
        expect((await client.workflow.getHandle('kept').describe()).status.name).toBe('RUNNING');
        const known = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
        expect(Object.keys(known.customAttributes ?? {})).toEqual(expect.arrayContaining([...searchAttributes]));
      } finally {
        await connection.close();
        await server.stop();
      }
    }
  });

  test('refuses a port that somebody else has', async () => {
    await using shared = await connectTemporal();
    const port = Number(shared.address.split(':')[1]);
    await expect(startTemporal({ cli: shared.cli, port, searchAttributes: [], log })).rejects.toThrow(
      `Port ${port} on 127.0.0.1 is in use`,
    );
  });

  test('says what the program printed when it is not a Temporal server', async () => {
    const program = join(directory, 'temporal');
    await writeFile(program, '#!/bin/sh\necho this is not it\nexit 3\n', { mode: 0o755 });
    await expect(startTemporal({ cli: program, headless: true, searchAttributes: [], log })).rejects.toThrow(
      /exit code 3[\s\S]*this is not it/,
    );
  });
});
