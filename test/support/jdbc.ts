import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type Bridge, startBridge } from '../../connectors/sql/bridge.ts';
import { freePort } from '../../workers/embedded/process.ts';
import { installPackages } from './debian-packages.ts';
import { accepts, until } from './loopback.ts';

/** JDBC drivers of Debian. */
export const jars = {
  h2: '/usr/share/java/h2.jar',
  postgresql: '/usr/share/java/postgresql.jar',
  mariadb: '/usr/share/java/mariadb-java-client.jar',
} as const;

/** Makes sure that a JDK and the drivers are there: as root on Debian they are installed, else the error says what to do. */
export function installJdbc(): Promise<void> {
  return installPackages({
    program: 'Java with JDBC drivers',
    packages: ['default-jdk-headless', 'libh2-java', 'libpostgresql-jdbc-java', 'libmariadb-java'],
    missing: () => ['/usr/bin/java', '/usr/bin/javac', ...Object.values(jars)].filter((file) => !existsSync(file)),
  });
}

/** An H2 server that runs for a test, on 127.0.0.1, with one database in memory. */
export interface H2 extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Path of the database behind `jdbc:h2:tcp://HOST:PORT/`. */
  readonly database: string;
  /** Runs statements as an account that may do everything, all of them or none. */
  write(statements: readonly (readonly [text: string, ...values: readonly (string | null)[]])[]): Promise<void>;
}

export async function startH2(): Promise<H2> {
  await installJdbc();
  const host = '127.0.0.1';
  const port = await freePort();
  // The signal at the parent's death: a killed test leaves no server behind.
  const server = spawn(
    '/usr/bin/setpriv',
    [
      '--pdeathsig=KILL',
      'java',
      '-Xmx256m',
      '-XX:+UseSerialGC',
      `-Dh2.bindAddress=${host}`,
      '-cp',
      jars.h2,
      'org.h2.tools.Server',
      '-tcp',
      '-tcpPort',
      String(port),
      '-ifNotExists',
    ],
    { stdio: 'ignore' },
  );
  await until(async () => {
    if (server.exitCode !== null) throw new Error(`H2 ended at once, with exit code ${server.exitCode}`);
    return accepts(host, port);
  }, 'H2 to accept connections');
  const database = 'mem:kit';
  const bridge = startBridge({ java: 'java', jars: [jars.h2] });
  await bridge.ask(
    'open',
    'admin',
    `jdbc:h2:tcp://${host}:${port}/${database};DB_CLOSE_DELAY=-1`,
    '',
    'false',
    'user',
    'sa',
    'password',
    'Admin.1',
  );
  return {
    host,
    port,
    database,
    write: (statements) => writeThrough(bridge, statements),
    [Symbol.asyncDispose]: () => end(server, bridge),
  };
}

async function writeThrough(bridge: Bridge, statements: Parameters<H2['write']>[0]): Promise<void> {
  await bridge.ask('begin', 'admin', '4');
  try {
    for (const [text, ...values] of statements) {
      // The bridge has no null parameters, since no read needs them.
      let place = 0;
      const inlined = text.replace(/\?/g, () => (values[place++] === null ? 'null' : '?'));
      const parameters = values.filter((value) => value !== null).flatMap((value) => ['text', value]);
      await bridge.ask('ask', 'admin', '60', inlined, ...parameters);
    }
    await bridge.ask('ask', 'admin', '60', 'commit');
  } finally {
    await bridge.ask('end', 'admin');
  }
}

async function end(server: ChildProcess, bridge: Bridge): Promise<void> {
  bridge.end();
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  server.kill('SIGKILL');
  await ended;
}
