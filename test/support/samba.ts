import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'ldapts';
import { installPackages } from './debian-packages.ts';
import { accepts, freeAddress, until } from './loopback.ts';
import type { NetworkPlace } from './network.ts';
import { makeCertificates } from './test-certificates.ts';

const run = promisify(execFile);

/** Debian's packages for a domain controller and the tools used here. */
const packages = ['samba', 'samba-dsdb-modules', 'samba-vfs-modules', 'samba-ad-provision', 'winbind', 'python3-samba', 'openssl'] as const;
const libraries = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((machine) => `/usr/lib/${machine}/samba/ldb/samba_dsdb.so`);

/** What is missing for a domain controller, by the files that the packages bring. */
function missingFiles(): readonly string[] {
  const missing = ['/usr/sbin/samba', '/usr/bin/samba-tool', '/usr/share/samba/setup/provision.ldif', '/usr/bin/openssl'].filter(
    (file) => !existsSync(file),
  );
  return libraries.some((file) => existsSync(file)) ? missing : [...missing, 'samba_dsdb.so'];
}

export interface SambaOptions {
  /** DNS name of the domain; its first label is the NetBIOS name. Default: corp.example. */
  readonly realm?: string;
  /** Default: dc1. */
  readonly hostName?: string;
  /** Sign-in without encryption is refused, as by a hardened Active Directory. Default: false. */
  readonly requireEncryption?: boolean;
  /** Runs it in a network namespace, with an address of its own and the services that another controller needs to join. Default: loopback, LDAP alone. */
  readonly network?: NetworkPlace;
  /** Makes it a second controller of this one's domain, which must have a network too. Default: the first of a new domain. */
  readonly joins?: SambaServer;
}

/** A domain controller that runs for a test, on a loopback address of its own: Samba's LDAP ports can't be chosen. */
export interface SambaServer extends AsyncDisposable {
  readonly ldapUrl: string;
  readonly ldapsUrl: string;
  readonly baseDn: string;
  readonly adminDn: string;
  readonly adminPassword: string;
  /** PEM file of the authority that signed the server's certificate, which names the host name and the address. */
  readonly caFile: string;
  /** `dc1.corp.example` */
  readonly hostName: string;
  readonly address: string;
  /** The directory of the server's files, for tools that work on the stopped database. */
  readonly directory: string;
  /** Stops the server and keeps its data. */
  stop(): Promise<void>;
  /** `kill -9` of all its processes at once. */
  kill(): Promise<void>;
  /** Starts it after {@link SambaServer.stop} or {@link SambaServer.kill}, or anew. */
  restart(): Promise<void>;
  /** A client that has signed in as administrator. */
  client(): Promise<Client>;
}

/**
 * Makes sure that Samba is there: as root on Debian it is installed, else the error says what to do.
 */
export async function installSamba(): Promise<void> {
  await installPackages({ program: 'A Samba domain controller', packages, missing: missingFiles });
}

/** Provisions a new domain, or joins one, and starts its domain controller. Takes about five seconds, and root. */
export async function startSamba(options: SambaOptions = {}): Promise<SambaServer> {
  await installSamba();
  if (process.getuid?.() !== 0) throw new Error('A Samba domain controller needs root. Run the tests as root.');
  const realm = options.realm ?? 'corp.example';
  const shortName = options.hostName ?? 'dc1';
  const hostName = `${shortName}.${realm}`;
  const baseDn = realm
    .split('.')
    .map((label) => `DC=${label}`)
    .join(',');
  const adminPassword = 'Tidemark.Test.1';
  const adminDn = `CN=Administrator,CN=Users,${baseDn}`;
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-samba-'));
  const { network } = options;
  const address = network?.address ?? (await freeAddress(389));
  await makeCertificates(directory, hostName, address);
  const settings = [
    `interfaces=${address}/${network === undefined ? 8 : 24}`,
    'bind interfaces only=yes',
    'vfs objects=',
    `pid directory=${directory}/run`,
    `ncalrpc dir=${directory}/run/ncalrpc`,
    `winbindd socket directory=${directory}/run/winbindd`,
    `ntp signd socket directory=${directory}/run/ntp`,
    `tls cafile=${directory}/ca.pem`,
    `tls certfile=${directory}/server.pem`,
    `tls keyfile=${directory}/server.key`,
    `log file=${directory}/samba.log`,
    `server services=${network === undefined ? 'ldap' : 'ldap rpc'}`,
    // The data need not survive a power cut.
    'ldb:nosync=true',
    `ldap server require strong auth=${options.requireEncryption === true ? 'yes' : 'no'}`,
  ].map((setting) => `--option=${setting}`);
  const provision = [
    'provision',
    `--realm=${realm.toUpperCase()}`,
    `--domain=${netbiosName(baseDn)}`,
    '--server-role=dc',
    `--adminpass=${adminPassword}`,
    '--host-ip=127.0.0.1',
    `--host-name=${shortName}`,
  ];
  const joining = [
    'join',
    realm,
    'DC',
    `--server=${options.joins?.address}`,
    '--site=Default-First-Site-Name',
    ...administrator(baseDn, adminPassword),
    `--option=netbios name=${shortName.toUpperCase()}`,
  ];
  await mkdir(join(directory, 'run'), { recursive: true });
  try {
    await run(
      ...within(network, 'samba-tool', [
        'domain',
        ...(options.joins === undefined ? provision : joining),
        `--targetdir=${directory}/dc`,
        '--dns-backend=NONE',
        ...settings,
      ]),
    );
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }

  let server: ChildProcess | undefined;
  async function start(): Promise<void> {
    const log = openSync(join(directory, 'output.log'), 'a');
    // -i: Samba ends when its standard input does, so a killed test leaves no server behind.
    const options = ['-s', `${directory}/dc/etc/smb.conf`, '-i', '--debug-stdout', '-M', 'prefork', ...settings];
    const child = spawn(...within(network, '/usr/sbin/samba', options), { stdio: ['pipe', log, log] });
    closeSync(log);
    server = child;
    await until(async () => {
      if (child.exitCode !== null)
        throw new Error(`Samba ended at once: ${(await readFile(join(directory, 'output.log'), 'utf8')).slice(-2_000)}`);
      return (await accepts(address, 389)) && (await accepts(address, 636));
    }, 'Samba to accept connections');
  }
  async function stop(): Promise<void> {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    await ended;
    await silence();
  }
  /** Its children end a moment after it, and until then hold the ports: a server that starts meanwhile could not have them. */
  async function silence(): Promise<void> {
    await until(async () => !(await accepts(address, 389)) && !(await accepts(address, 636)), 'Samba to stop');
  }

  await start();
  const ldapUrl = `ldap://${address}`;
  return {
    ldapUrl,
    ldapsUrl: `ldaps://${address}`,
    baseDn,
    adminDn,
    adminPassword,
    caFile: join(directory, 'ca.pem'),
    hostName,
    address,
    directory,
    stop,
    async kill() {
      const child = server;
      if (child?.pid === undefined) return;
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      for (const pid of await processTree(child.pid)) process.kill(pid, 'SIGKILL');
      await ended;
      await silence();
    },
    async restart() {
      await stop();
      await start();
    },
    async client() {
      const client = new Client({ url: `ldaps://${address}`, tlsOptions: { ca: await readFile(join(directory, 'ca.pem')) } });
      await client.bind(adminDn, adminPassword);
      return client;
    },
    async [Symbol.asyncDispose]() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Pulls into one controller of a domain what another one, which must run, has of it. */
export async function replicate(to: SambaServer, from: SambaServer): Promise<void> {
  await run('samba-tool', [
    'drs',
    'replicate',
    to.hostName,
    from.address,
    from.baseDn,
    '--local',
    ...administrator(from.baseDn, from.adminPassword),
    `--configfile=${to.directory}/dc/etc/smb.conf`,
  ]);
}

/** Signs a tool in. Without Kerberos, because servers are named by their addresses. */
function administrator(baseDn: string, password: string): readonly string[] {
  return [`--user=${netbiosName(baseDn)}\\Administrator%${password}`, '--use-kerberos=off'];
}

/** NetBIOS name of a domain: its first label. */
function netbiosName(baseDn: string): string {
  return (/^DC=([^,]*)/.exec(baseDn)?.[1] ?? '').toUpperCase();
}

/** A command as it is run in a namespace: `ip` becomes the command, so signals and standard input reach it. */
function within(network: NetworkPlace | undefined, command: string, parameters: readonly string[]): [string, string[]] {
  return network === undefined ? [command, [...parameters]] : ['ip', ['netns', 'exec', network.namespace, command, ...parameters]];
}

/** A process and all that descend from it, itself first. */
async function processTree(root: number): Promise<readonly number[]> {
  const { stdout } = await run('ps', ['-e', '-o', 'pid=,ppid=']);
  const processes = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [pid: number, parent: number]);
  const tree = [root];
  for (const pid of tree) tree.push(...processes.filter(([, parent]) => parent === pid).map(([child]) => child));
  return tree;
}
