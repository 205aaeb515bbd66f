import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { Client } from 'ldapts';
import { installPackages } from './debian-packages.ts';
import { accepts, freeAddress, until } from './loopback.ts';
import { makeCertificates } from './test-certificates.ts';

const run = promisify(execFile);

const port = 3389;
const tlsPort = 6636;

export interface SlapdOptions {
  /** Default: dc=corp,dc=example. */
  readonly suffix?: string;
  /** Loaded with `slapadd -q` before the first start: the path of an LDIF file, or its text in pieces. The suffix and the reader exist already. */
  readonly ldif?: string | AsyncIterable<string> | Iterable<string>;
  /** Whether writes are recorded in `cn=accesslog`. Default: true. */
  readonly accessLog?: boolean;
  /** Whether the suffix carries contextCSN (overlay syncprov). Default: true. */
  readonly syncprov?: boolean;
  /** More modules to load and overlays to put on the database, such as `refint`, each with its lines. Default: none. */
  readonly overlays?: readonly { readonly name: string; readonly lines?: readonly string[] }[];
  /** What the reader may have in one answer, as in `limits` of slapd.conf(5). Default: `size=unlimited time=unlimited`. */
  readonly limits?: string;
  /** Lines of `access to` for the database. Default: the reader reads everything but passwords, nobody else anything. */
  readonly access?: readonly string[];
  /** Lines of `access to` for the log. Default: the reader reads everything. */
  readonly logAccess?: readonly string[];
  /** Attributes with an index of kind `eq`. Default: what OpenLDAP's guide and the connector's page name. */
  readonly indexes?: readonly string[];
  /** More lines for the whole server, such as `disallow bind_anon`. Default: none. */
  readonly lines?: readonly string[];
}

/** An OpenLDAP server that runs for a test, on a loopback address of its own. */
export interface SlapdServer extends AsyncDisposable {
  readonly url: string;
  readonly ldapsUrl: string;
  readonly suffix: string;
  /** Bound by no limit and no access rule; `cn=config` takes the same password. */
  readonly rootDn: string;
  readonly password: string;
  /** An ordinary account, which access rules and limits apply to. */
  readonly readerDn: string;
  readonly readerPassword: string;
  /** PEM file of the authority that signed the server's certificate, which names the host name and the address. */
  readonly caFile: string;
  readonly hostName: string;
  readonly address: string;
  /** Of {@link SlapdServer.url}. */
  readonly port: number;
  /** The directory of the server's files: `data` and `log` are the databases. */
  readonly directory: string;
  /** Stops the server and keeps its data. */
  stop(): Promise<void>;
  /** `kill -9`. */
  kill(): Promise<void>;
  /** Starts it after {@link SlapdServer.stop} or {@link SlapdServer.kill}, or anew; with other options if some are given. */
  restart(changes?: Omit<SlapdOptions, 'suffix' | 'ldif'>): Promise<void>;
  /** Keeps a copy of the stopped databases under a name. */
  backUp(name: string): Promise<void>;
  /** Puts a copy back in the place of the stopped databases. */
  restore(name: string): Promise<void>;
  /** A client that has signed in: as the root DN, or as `cn=config` to change the running configuration. */
  client(as?: 'root' | 'config'): Promise<Client>;
}

/** Makes sure that OpenLDAP is there: as root on Debian it is installed, without a directory of its own, else the error says what to do. */
export function installSlapd(): Promise<void> {
  return installPackages({
    program: 'OpenLDAP',
    packages: ['slapd', 'ldap-utils', 'openssl'],
    missing: () =>
      [
        '/usr/sbin/slapd',
        '/usr/sbin/slapadd',
        '/usr/bin/ldapsearch',
        '/usr/lib/ldap/accesslog.so',
        '/usr/bin/openssl',
        '/usr/bin/setpriv',
      ].filter((file) => !existsSync(file)),
    // Without a configuration Debian's own service does not start.
    answers: ['slapd slapd/no_configuration boolean true'],
  });
}

/** Makes a new directory and starts its server. Takes about half a second. */
export async function startSlapd(options: SlapdOptions = {}): Promise<SlapdServer> {
  await installSlapd();
  const suffix = options.suffix ?? 'dc=corp,dc=example';
  const rootDn = `cn=root,${suffix}`;
  const readerDn = `cn=reader,${suffix}`;
  const password = 'Tidemark.Test.1';
  const readerPassword = 'Ordinary.Account.1';
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-slapd-'));
  const address = await freeAddress(port);
  const hostName = 'ldap1.corp.example';
  const place = { directory, suffix, rootDn, readerDn, password };
  const urls = { url: `ldap://${address}:${port}`, ldapsUrl: `ldaps://${address}:${tlsPort}` };
  let current: SlapdOptions = options;
  let server: ChildProcess | undefined;

  async function start(): Promise<void> {
    const log = openSync(join(directory, 'output.log'), 'a');
    // The signal at the parent's death: a killed test leaves no server behind. -d keeps it in the foreground.
    const child = spawn(
      '/usr/bin/setpriv',
      ['--pdeathsig=KILL', '/usr/sbin/slapd', '-d', '0', '-F', join(directory, 'config'), '-h', `${urls.url} ${urls.ldapsUrl}`],
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
    server = child;
    await until(async () => {
      if (child.exitCode !== null)
        throw new Error(`slapd ended at once: ${(await readFile(join(directory, 'output.log'), 'utf8')).slice(-2_000)}`);
      return (await accepts(address, port)) && (await accepts(address, tlsPort));
    }, 'slapd to accept connections');
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await ended;
  }
  const databases = ['data', 'log'] as const;
  const copyOf = (name: string, database: string): string => join(directory, `copy-${name}-${database}`);

  try {
    await makeCertificates(directory, hostName, address);
    for (const database of databases) await mkdir(join(directory, database));
    await configure(place, current);
    await load(directory, suffix, [baseEntries(place, readerPassword)]);
    if (typeof options.ldif === 'string') await run('/usr/sbin/slapadd', [...slapaddOptions(directory, suffix), '-l', options.ldif]);
    else if (options.ldif !== undefined) await load(directory, suffix, options.ldif);
    await start();
  } catch (error) {
    await end('SIGKILL');
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return {
    ...urls,
    suffix,
    rootDn,
    password,
    readerDn,
    readerPassword,
    caFile: join(directory, 'ca.pem'),
    hostName,
    address,
    port,
    directory,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    async restart(changes) {
      await end('SIGTERM');
      if (changes !== undefined) {
        current = { ...current, ...changes };
        await configure(place, current);
      }
      await start();
    },
    async backUp(name) {
      for (const database of databases) await copySparse(join(directory, database), copyOf(name, database));
    },
    async restore(name) {
      for (const database of databases) {
        await rm(join(directory, database), { recursive: true });
        await copySparse(copyOf(name, database), join(directory, database));
      }
    },
    async client(as = 'root') {
      const client = new Client({ url: urls.url });
      await client.bind(as === 'root' ? rootDn : 'cn=config', password);
      return client;
    },
    async [Symbol.asyncDispose]() {
      await end('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The databases are files of many gigabytes that are nearly all holes. */
async function copySparse(from: string, to: string): Promise<void> {
  await run('cp', ['--recursive', '--sparse=always', from, to]);
}

interface Place {
  readonly directory: string;
  readonly suffix: string;
  readonly rootDn: string;
  readonly readerDn: string;
  readonly password: string;
}

/** Writes slapd.conf(5) and turns it into `cn=config`, which the running server lets itself be changed by. */
async function configure(place: Place, options: SlapdOptions): Promise<void> {
  const { directory } = place;
  await writeFile(join(directory, 'slapd.conf'), `${configuration(place, options).join('\n')}\n`);
  await rm(join(directory, 'config'), { recursive: true, force: true });
  await mkdir(join(directory, 'config'));
  // -n 0: the configuration alone; the databases need not exist yet.
  await run('/usr/sbin/slaptest', ['-n', '0', '-f', join(directory, 'slapd.conf'), '-F', join(directory, 'config')]);
}

const usualIndexes = [
  'objectClass',
  'entryCSN',
  'entryUUID',
  'uid',
  'cn',
  'mail',
  'member',
  'uniqueMember',
  'memberUid',
  'manager',
  'owner',
];

function configuration({ directory, suffix, rootDn, readerDn, password }: Place, options: SlapdOptions): readonly string[] {
  const logged = options.accessLog ?? true;
  const overlays = [...(options.overlays ?? [])];
  const modules = ['back_mdb', ...((options.syncprov ?? true) ? ['syncprov'] : []), ...(logged ? ['accesslog'] : [])];
  const limits = `limits dn.exact="${readerDn}" ${options.limits ?? 'size=unlimited time=unlimited'}`;
  const database = (base: string, folder: string): readonly string[] => [
    'database mdb',
    `suffix "${base}"`,
    `directory ${join(directory, folder)}`,
    // An upper bound of a sparse file.
    'maxsize 17179869184',
    // The data need not survive a power cut.
    'dbnosync',
    `rootdn "${rootDn}"`,
    limits,
  ];
  return [
    ...['core', 'cosine', 'nis', 'inetorgperson'].map((name) => `include /etc/ldap/schema/${name}.schema`),
    'modulepath /usr/lib/ldap',
    ...[...modules, ...overlays.map(({ name }) => name)].map((name) => `moduleload ${name}`),
    `TLSCACertificateFile ${join(directory, 'ca.pem')}`,
    `TLSCertificateFile ${join(directory, 'server.pem')}`,
    `TLSCertificateKeyFile ${join(directory, 'server.key')}`,
    ...(options.lines ?? []),
    'database config',
    `rootpw ${password}`,
    ...(logged
      ? [
          ...database('cn=accesslog', 'log'),
          'index objectClass,entryCSN,reqStart,reqEnd,reqResult,reqType eq',
          ...(options.logAccess ?? [`access to * by dn.exact="${readerDn}" read`]),
        ]
      : []),
    ...database(suffix, 'data'),
    `rootpw ${password}`,
    ...(options.indexes ?? usualIndexes).map((attribute) => `index ${attribute} eq`),
    ...(options.access ?? [
      'access to attrs=userPassword by anonymous auth by * none',
      `access to * by dn.exact="${readerDn}" read by anonymous auth by * none`,
    ]),
    ...((options.syncprov ?? true) ? ['overlay syncprov'] : []),
    ...overlays.flatMap(({ name, lines = [] }) => [`overlay ${name}`, ...lines]),
    ...(logged ? ['overlay accesslog', 'logdb cn=accesslog', 'logops writes', 'logsuccess TRUE', 'logold (objectClass=*)'] : []),
  ];
}

function baseEntries({ suffix, readerDn }: Place, readerPassword: string): string {
  const [, type = '', value = ''] = /^(\w+)=([^,]+)/.exec(suffix) ?? [];
  const classes = type === 'dc' ? ['dcObject', 'organization'] : type === 'o' ? ['organization'] : ['organizationalUnit'];
  return [
    `dn: ${suffix}`,
    ...classes.map((name) => `objectClass: ${name}`),
    `${type}: ${value}`,
    ...(type === 'dc' ? ['o: Example Corporation'] : []),
    '',
    `dn: ${readerDn}`,
    'objectClass: organizationalRole',
    'objectClass: simpleSecurityObject',
    `userPassword: ${readerPassword}`,
    '',
    '',
  ].join('\n');
}

function slapaddOptions(directory: string, suffix: string): readonly string[] {
  // -q: without checks; -w: with the contextCSN that syncprov would otherwise look for at its start.
  return ['-q', '-w', '-F', join(directory, 'config'), '-b', suffix];
}

async function load(directory: string, suffix: string, ldif: AsyncIterable<string> | Iterable<string>): Promise<void> {
  const child = spawn('/usr/sbin/slapadd', [...slapaddOptions(directory, suffix)], { stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += String(chunk);
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  // What slapadd did not read is told by what it says.
  await pipeline(Readable.from(ldif), child.stdin).catch(() => undefined);
  if ((await ended) !== 0) throw new Error(`slapadd failed: ${errors.slice(-2_000)}`);
}
