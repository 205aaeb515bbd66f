import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian's packages of a program that tests run for real. */
export interface DebianPackages {
  /** The program, for error messages: `Samba`. */
  readonly program: string;
  readonly packages: readonly string[];
  /** What is missing, by the files that the packages bring. */
  readonly missing: () => readonly string[];
  /** Answers to the packages' questions, each a line for debconf-set-selections. Default: none. */
  readonly answers?: readonly string[];
}

/** Makes sure that a program is there: as root on Debian it is installed, else the error says what to do. */
export async function installPackages({ program, packages, missing, answers = [] }: DebianPackages): Promise<void> {
  if (missing().length === 0) return;
  const remedy = `Install it: apt-get install --no-install-recommends ${packages.join(' ')}`;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get'))
    throw new Error(`${program} is missing, and this account can not install it. ${remedy}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    for (const answer of answers) await run('sh', ['-c', 'echo "$0" | debconf-set-selections', answer], { env });
    await run('apt-get', ['update'], { env });
    await run('apt-get', ['install', '--yes', '--no-install-recommends', ...packages], { env, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    throw new Error(`${program} is missing and installing it failed. ${remedy}`, { cause: error });
  }
  const left = missing();
  if (left.length > 0) throw new Error(`${program} was installed but lacks ${left.join(', ')}. ${remedy}`);
}
