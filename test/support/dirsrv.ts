import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync } from 'node:fs';
import { appendFile, copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'ldapts';
import { installPackages } from './debian-packages.ts';
import { replace } from './directory-edits.ts';
import { accepts, freeAddress, until } from './loopback.ts';

const port = 3389;
const templates = '/usr/share/dirsrv/data';

export interface DirsrvOptions {
  /** Whether the Retro Changelog plug-in records writes. Default: true. */
  readonly changelog?: boolean;
  /** Attributes that its records get from the entries they are about, each `NAME:NAME IN THE RECORD`. Default: `entryuuid:targetEntryUUID`. */
  readonly recorded?: readonly string[];
  /** More lines of the plug-in's configuration, such as `nsslapd-changelogmaxage: 7d`. Default: none. */
  readonly changelogLines?: readonly string[];
}

/** A 389 Directory Server that runs for a test, on a loopback address of its own. */
export interface DirsrvServer extends AsyncDisposable {
  readonly url: string;
  readonly suffix: string;
  /** An ordinary account, which access rules and limits apply to. It reads everything but passwords, the log without `changes`. */
  readonly readerDn: string;
  readonly readerPassword: string;
  readonly address: string;
  /** Of {@link DirsrvServer.url}. */
  readonly port: number;
  /** The databases are folders of it: `changelog`, `userRoot`. */
  readonly dataDirectory: string;
  /** Stops the server and keeps its data. */
  stop(): Promise<void>;
  /** Starts it after {@link DirsrvServer.stop}, or anew; with another configuration if options are given. Changes of `cn=config` are lost then. */
  restart(changes?: DirsrvOptions): Promise<void>;
  /** Keeps a copy of the stopped databases under a name. */
  backUp(name: string): Promise<void>;
  /** Puts a copy back in the place of the stopped databases. */
  restore(name: string): Promise<void>;
  /**
   * Lets the reader read what an access rule at this DN says (see {@link targets}), or nothing below it. The server heeds a rule a moment
   * after it has answered, which is waited for.
   */
  letRead(dn: string, target: string | undefined): Promise<void>;
  /** A client that has signed in as the root DN, which no limit and no access rule applies to. */
  client(): Promise<Client>;
}

/** Makes sure that 389 Directory Server is there: as root on Debian it is installed, without an instance, else the error says what to do. */
export function installDirsrv(): Promise<void> {
  return installPackages({
    program: '389 Directory Server',
    packages: ['389-ds-base'],
    missing: () =>
      ['/usr/sbin/ns-slapd', join(templates, 'template-dse.ldif'), '/etc/dirsrv/schema/99user.ldif'].filter((file) => !existsSync(file)),
  });
}

/** Makes a new instance, as dscreate(8) does, in a directory of its own, and starts its server. Takes about three seconds. */
export async function startDirsrv(options: DirsrvOptions = {}): Promise<DirsrvServer> {
  await installDirsrv();
  const suffix = 'dc=corp,dc=example';
  const rootDn = 'cn=root';
  const password = 'Tidemark.Test.1';
  const readerDn = `cn=reader,${suffix}`;
  const readerPassword = 'Ordinary.Account.1';
  const address = await freeAddress(port);
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-dirsrv-'));
  const place = { directory, suffix, rootDn, password, address };
  const [configuration, data] = [join(directory, 'configuration'), join(directory, 'data')];
  const url = `ldap://${address}:${port}`;
  let current = options;
  let server: ChildProcess | undefined;

  async function start(): Promise<void> {
    const log = openSync(join(directory, 'output.log'), 'a');
    // The signal at the parent's death: a killed test leaves no server behind. -d keeps it in the foreground.
    const child = spawn(
      '/usr/bin/setpriv',
      ['--pdeathsig=KILL', '/usr/sbin/ns-slapd', '-D', configuration, '-i', join(directory, 'pid'), '-d', '0'],
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
    server = child;
    await until(async () => {
      if (child.exitCode !== null) {
        const told = [join(directory, 'output.log'), join(directory, 'logs', 'errors')].filter((file) => existsSync(file));
        const texts = await Promise.all(told.map((file) => readFile(file, 'utf8')));
        throw new Error(`ns-slapd ended at once: ${texts.map((text) => text.slice(-2_000)).join('\n')}`);
      }
      return accepts(address, port);
    }, 'ns-slapd to accept connections');
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await ended;
  }
  async function client(): Promise<Client> {
    const opened = new Client({ url });
    await opened.bind(rootDn, password);
    return opened;
  }
  async function letRead(dn: string, target: string | undefined): Promise<void> {
    const root = await client();
    await root.modify(dn, replace('aci', ...(target === undefined ? [] : [rule(target, readerDn)])));
    await root.unbind();
    await until(async () => {
      const reader = new Client({ url });
      await reader.bind(readerDn, readerPassword);
      const found = await reader.search(dn, { scope: 'base', attributes: ['objectClass'], timeLimit: 0 });
      await reader.unbind();
      return found.searchEntries.length > 0 === (target !== undefined);
    }, 'the access rule to be heeded');
  }
  const copyOf = (name: string): string => join(directory, `copy-${name}`);

  try {
    for (const folder of ['configuration/schema', 'data', 'locks', 'logs', 'run', 'ldif', 'backups', 'scratch'])
      await mkdir(join(directory, folder), { recursive: true });
    await copyFile('/etc/dirsrv/schema/99user.ldif', join(configuration, 'schema', '99user.ldif'));
    for (const file of ['certmap.conf', 'slapd-collations.conf'])
      await copyFile(join('/etc/dirsrv/config', file), join(configuration, file));
    await configure(place, current);
    await start();
    const root = await client();
    await addBaseEntries(root, { suffix, readerDn, readerPassword });
    if (options.changelog ?? true) await letRead('cn=changelog', targets.log);
    await root.unbind();
  } catch (error) {
    await end('SIGKILL');
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return {
    url,
    suffix,
    readerDn,
    readerPassword,
    address,
    port,
    dataDirectory: data,
    stop: () => end('SIGTERM'),
    async restart(changes) {
      await end('SIGTERM');
      if (changes !== undefined) {
        current = { ...current, ...changes };
        await configure(place, current);
      }
      await start();
    },
    backUp: (name) => cp(data, copyOf(name), { recursive: true }),
    async restore(name) {
      await rm(data, { recursive: true });
      await cp(copyOf(name), data, { recursive: true });
    },
    letRead,
    client,
    async [Symbol.asyncDispose]() {
      await end('SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface Place {
  readonly directory: string;
  readonly suffix: string;
  readonly rootDn: string;
  readonly password: string;
  readonly address: string;
}

/** Writes the configuration of an instance from the templates of dscreate(8), small and without waiting for the disk. */
async function configure({ directory, suffix, rootDn, password, address }: Place, options: DirsrvOptions): Promise<void> {
  const at = (folder: string): string => join(directory, folder);
  const values: Readonly<Record<string, string>> = {
    schema_dir: at('configuration/schema'),
    config_dir: at('configuration'),
    cert_dir: at('configuration'),
    db_dir: at('data'),
    db_home_dir: at('data'),
    lock_dir: at('locks'),
    log_dir: at('logs'),
    run_dir: at('run'),
    ldif_dir: at('ldif'),
    bak_dir: at('backups'),
    tmp_dir: at('scratch'),
    inst_dir: directory,
    db_lib: 'bdb',
    fqdn: 'localhost',
    ds_port: String(port),
    ds_user: String(process.env.USER ?? 'root'),
    rootdn: rootDn,
    ds_passwd: hashed(password),
    ds_suffix: suffix,
    ds_bename: 'userRoot',
    ldapi_enabled: 'off',
    ldapi: at('run/ldapi'),
    ldapi_autobind: 'off',
  };
  const filled = async (template: string): Promise<string> =>
    (await readFile(join(templates, template), 'utf8')).replaceAll(/%(\w+)%/g, (whole, name: string) => values[name] ?? whole);
  const dse = (await filled('template-dse.ldif'))
    .replace(
      /^nsslapd-port:.*$/m,
      `$&\nnsslapd-listenhost: ${address}\nnsslapd-rootpwstoragescheme: SSHA512\nnsslapd-accesslog-logging-enabled: off`,
    )
    .replace(
      /(?<=^dn: cn=Retro Changelog Plugin,(?:.+\n)*?)nsslapd-pluginenabled: off$/m,
      [
        `nsslapd-pluginenabled: ${(options.changelog ?? true) ? 'on' : 'off'}`,
        ...(options.recorded ?? ['entryuuid:targetEntryUUID']).map((name) => `nsslapd-attribute: ${name}`),
        ...(options.changelogLines ?? []),
      ].join('\n'),
    );
  const file = join(at('configuration'), 'dse.ldif');
  await writeFile(file, `${dse.trimEnd()}\n\n`);
  await appendFile(file, `${(await filled('template-suffix-db.ldif')).trimEnd()}\n\n${entryUuidPlugins}\n${sizes(at('data'))}\n`);
}

/** {SSHA512}: the server takes no other form of the root DN's password here. */
function hashed(password: string): string {
  const salt = randomBytes(8);
  return `{SSHA512}${Buffer.concat([createHash('sha512').update(password).update(salt).digest(), salt]).toString('base64')}`;
}

/** The server makes these entries itself at its first start, and heeds them from the second on; and an index as dscreate(8) gives it. */
const entryUuidPlugins = [
  ['entryuuid', 'libentryuuid-plugin', 'entryuuid_plugin_init', 'betxnpreoperation'],
  ['entryuuid_syntax', 'libentryuuid-syntax-plugin', 'entryuuid_syntax_plugin_init', 'syntax'],
]
  .map(
    ([name, library, init, type]) => `dn: cn=${name},cn=plugins,cn=config
objectClass: top
objectClass: nsSlapdPlugin
cn: ${name}
nsslapd-pluginPath: ${library}
nsslapd-pluginInitfunc: ${init}
nsslapd-pluginType: ${type}
nsslapd-pluginEnabled: on
nsslapd-pluginId: ${name}
nsslapd-pluginVersion: none
nsslapd-pluginVendor: 389 Project
nsslapd-pluginDescription: ${name}
`,
  )
  .concat(
    ['entryUUID', 'manager', 'changeType'].map(
      (name) => `dn: cn=${name},cn=default indexes,cn=config,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: nsIndex
cn: ${name}
nsSystemIndex: false
nsIndexType: eq
`,
    ),
  )
  .join('\n');

/** The server would take a quarter of the machine's memory for its caches. */
const sizes = (data: string): string => `dn: cn=bdb,cn=config,cn=ldbm database,cn=plugins,cn=config
objectClass: extensibleObject
objectClass: top
cn: bdb
nsslapd-cache-autosize: 0
nsslapd-dbcachesize: 4194304
nsslapd-db-durable-transaction: off
nsslapd-db-home-directory: ${data}
nsslapd-db-logdirectory: ${data}
`;

async function addBaseEntries(
  client: Client,
  { suffix, readerDn, readerPassword }: { readonly suffix: string; readonly readerDn: string; readonly readerPassword: string },
): Promise<void> {
  await client.add(suffix, { objectClass: 'domain', dc: 'corp', aci: rule(targets.entries, readerDn) });
  await client.add(readerDn, {
    objectClass: ['applicationProcess', 'simpleSecurityObject'],
    userPassword: readerPassword,
    ...Object.fromEntries(limits.map((limit) => [limit, '-1'])),
  });
}

/** What the reader may read: of the entries and of the log. */
export const targets = { entries: 'targetattr != "userPassword || aci"', log: 'targetattr != "changes"' } as const;

/** An access rule that lets one account read. */
function rule(target: string, dn: string): string {
  return `(${target})(version 3.0; acl "tidemark"; allow (read, search, compare) userdn="ldap:///${dn}";)`;
}

/** Limits that an account may have of its own; -1: none. */
export const limits = ['nsSizeLimit', 'nsPagedSizeLimit', 'nsLookThroughLimit', 'nsPagedLookThroughLimit', 'nsTimeLimit'] as const;
