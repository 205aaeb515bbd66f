import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Connection, createConnection } from 'mysql2/promise';
import { freePort } from '../../workers/embedded/process.ts';
import { installPackages } from './debian-packages.ts';
import { accepts, until } from './loopback.ts';
import { makeCertificates } from './test-certificates.ts';

const run = promisify(execFile);

/** A MariaDB server that runs for a test, on 127.0.0.1. */
export interface MariaDb extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** PEM file of the authority that signed the server's certificate, which names localhost. */
  readonly caFile: string;
  /** Signed in as an account that may do everything. */
  readonly admin: Connection;
}

/** Makes sure that MariaDB is there: as root on Debian it is installed, else the error says what to do. Debian's own service is not needed. */
export function installMariaDb(): Promise<void> {
  return installPackages({
    program: 'MariaDB',
    packages: ['mariadb-server', 'openssl'],
    missing: () =>
      ['/usr/sbin/mariadbd', '/usr/bin/mariadb-install-db', '/usr/bin/openssl', '/usr/bin/setpriv'].filter((file) => !existsSync(file)),
  });
}

/** Makes a new data directory and starts its server. Takes some two seconds. */
export async function startMariaDb(): Promise<MariaDb> {
  await installMariaDb();
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-mariadb-'));
  await chmod(directory, 0o755);
  const host = '127.0.0.1';
  const port = await freePort();
  const dataDir = join(directory, 'data');
  let server: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (server !== undefined && server.exitCode === null && server.signalCode === null) {
      const ended = new Promise<void>((resolve) => server?.once('exit', () => resolve()));
      server.kill('SIGTERM');
      await ended;
    }
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await makeCertificates(directory, 'localhost', host);
    await run('/usr/bin/mariadb-install-db', [
      '--no-defaults',
      `--datadir=${dataDir}`,
      `--user=${process.getuid?.() === 0 ? 'root' : (process.env.USER ?? '')}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ]);
    const log = openSync(join(directory, 'output.log'), 'a');
    // The signal at the parent's death: a killed test leaves no server behind.
    const child = spawn(
      '/usr/bin/setpriv',
      [
        '--pdeathsig=KILL',
        '/usr/sbin/mariadbd',
        '--no-defaults',
        ...(process.getuid?.() === 0 ? ['--user=root'] : []),
        `--datadir=${dataDir}`,
        `--socket=${join(directory, 'socket')}`,
        `--bind-address=${host}`,
        `--port=${port}`,
        `--ssl-ca=${join(directory, 'ca.pem')}`,
        `--ssl-cert=${join(directory, 'server.pem')}`,
        `--ssl-key=${join(directory, 'server.key')}`,
        // The data need not survive a power cut.
        '--innodb-flush-log-at-trx-commit=0',
        '--innodb-buffer-pool-size=64M',
        '--skip-name-resolve',
      ],
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
    server = child;
    await until(async () => {
      if (child.exitCode !== null)
        throw new Error(`MariaDB ended at once: ${(await readFile(join(directory, 'output.log'), 'utf8')).slice(-2_000)}`);
      return accepts(host, port);
    }, 'MariaDB to accept connections');
    const admin = await createConnection({ socketPath: join(directory, 'socket'), user: 'root', multipleStatements: true });
    return {
      host,
      port,
      caFile: join(directory, 'ca.pem'),
      admin,
      async [Symbol.asyncDispose]() {
        await admin.end();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
