import { execFile } from 'node:child_process';
import { readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Log } from '../../connectors/connector.ts';

const run = promisify(execFile);
const patienceMs = 60_000;

/**
 * Removes a postmaster.pid whose process is gone, even where its number now belongs to something else (after a restart of the machine
 * or container, when PostgreSQL itself would refuse), and ends a server whose owner was killed. Throws if the directory is in use.
 */
export async function releaseStaleLock(dataDir: string, log: Log): Promise<void> {
  const file = join(dataDir, 'postmaster.pid');
  const content = await readFile(file, 'utf8').catch(() => undefined);
  if (content !== undefined) await releaseLock(file, content, dataDir, log);
  await rm(ownerFile(dataDir), { force: true });
}

async function releaseLock(file: string, content: string, dataDir: string, log: Log): Promise<void> {
  const pid = Number(content.split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 1 || !(await isPostgresIn(pid, dataDir))) {
    log.warn('removed the lock file of a PostgreSQL that is gone', { dataDir, pid });
    await rm(file, { force: true });
    return;
  }
  if (await hasOwner(pid, dataDir)) {
    throw new Error(
      `The data directory ${dataDir} is in use by the PostgreSQL with process id ${pid}. Stop the Tidemark that runs it first, or choose another state directory.`,
    );
  }
  log.warn('ending a PostgreSQL whose owner was killed', { dataDir, pid });
  process.kill(pid, 'SIGINT');
  const deadline = Date.now() + patienceMs;
  while (await isPostgresIn(pid, dataDir)) {
    if (Date.now() > deadline)
      throw new Error(
        `The PostgreSQL with process id ${pid} in ${dataDir} does not end. End it by hand (kill -QUIT ${pid}) and start again.`,
      );
    await delay(100);
  }
}

/** A server's working directory is its data directory; where the system does not tell (no /proc), its command line names it. */
async function isPostgresIn(pid: number, dataDir: string): Promise<boolean> {
  if (process.platform === 'linux') {
    const directory = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    return directory === dataDir;
  }
  const { stdout } = await run('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.includes('postgres') && stdout.includes(dataDir);
}

/** Notes, once the server is ready, that it is this process's child. */
export async function recordOwner(dataDir: string): Promise<void> {
  await writeFile(ownerFile(dataDir), String(process.pid));
}

/** A child whose parent ends gets another one. Without a note (a start under way) only the system's first process is no owner. */
async function hasOwner(pid: number, dataDir: string): Promise<boolean> {
  const parent = await parentOf(pid);
  const recorded = await readFile(ownerFile(dataDir), 'utf8').catch(() => undefined);
  return recorded === undefined ? parent !== 1 : parent === Number(recorded);
}

async function parentOf(pid: number): Promise<number> {
  if (process.platform === 'linux') {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1] ?? 1);
  }
  const { stdout } = await run('ps', ['-o', 'ppid=', '-p', String(pid)]).catch(() => ({ stdout: '1' }));
  return Number(stdout);
}

function ownerFile(dataDir: string): string {
  return `${dataDir}.owner`;
}
