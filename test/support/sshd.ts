import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installPackages } from './debian-packages.ts';
import { accepts, freeAddress, until } from './loopback.ts';

const run = promisify(execFile);

const port = 2222;

/** An OpenSSH server that offers SFTP alone, on a loopback address of its own. */
export interface SshdServer extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  /** The account of this process. */
  readonly username: string;
  /** The one key that it accepts. */
  readonly privateKey: string;
  /** Fingerprint of the host key: `SHA256:...`. */
  readonly hostKey: string;
  /** For files. */
  readonly folder: string;
  /** Whether sign-ins with the key are accepted from now on. */
  accept(accepts: boolean): Promise<void>;
}

/** Makes sure that OpenSSH's server is there: as root on Debian it is installed, else the error says what to do. */
export function installSshd(): Promise<void> {
  return installPackages({
    program: 'OpenSSH',
    packages: ['openssh-server', 'openssh-client'],
    missing: () => ['/usr/sbin/sshd', '/usr/bin/ssh-keygen', '/usr/bin/setpriv'].filter((file) => !existsSync(file)),
  });
}

export async function startSshd(): Promise<SshdServer> {
  await installSshd();
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-sshd-'));
  const at = (name: string): string => join(directory, name);
  const address = await freeAddress(port);
  let server: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    const child = server;
    server = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    await ended;
  };
  const dispose = async (): Promise<void> => {
    await stop();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    for (const key of ['host', 'client']) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)]);
    const accept = async (accepted: boolean): Promise<void> => {
      await writeFile(at('authorized_keys'), accepted ? await readFile(at('client.pub')) : '');
      await chmod(at('authorized_keys'), 0o600);
    };
    await accept(true);
    await mkdir(at('files'));
    // Where sshd separates privileges; Debian makes it when its own service starts.
    if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
    const lines = [
      `ListenAddress ${address}:${port}`,
      `HostKey ${at('host')}`,
      `AuthorizedKeysFile ${at('authorized_keys')}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin prohibit-password',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'MaxStartups 100',
      'Subsystem sftp internal-sftp',
      'ForceCommand internal-sftp',
    ];
    await writeFile(at('sshd_config'), `${lines.join('\n')}\n`);
    const log = openSync(at('output.log'), 'a');
    // The signal at the parent's death: a killed test leaves no server behind. -D keeps it in the foreground.
    const child = spawn('/usr/bin/setpriv', ['--pdeathsig=KILL', '/usr/sbin/sshd', '-D', '-e', '-f', at('sshd_config')], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    server = child;
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`sshd ended at once: ${(await readFile(at('output.log'), 'utf8')).slice(-2_000)}`);
      return accepts(address, port);
    }, 'sshd to accept connections');
    const { stdout } = await run('ssh-keygen', ['-lf', at('host.pub')]);
    return {
      address,
      port,
      username: userInfo().username,
      privateKey: await readFile(at('client'), 'utf8'),
      hostKey: stdout.split(' ')[1] ?? '',
      folder: at('files'),
      accept,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
