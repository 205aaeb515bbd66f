import { execFile } from 'node:child_process';
import { chown, lchown, mkdir, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

/** The operating system's user that PostgreSQL runs as; absent where we are not root and it simply runs as ourselves. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const accountName = 'postgres';
const run = promisify(execFile);

/** PostgreSQL refuses to run as root: root uses the user `postgres`, and makes it where there is none. */
export async function postgresAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const known = await findAccount();
  if (known !== undefined) return known;
  await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', accountName]).catch(
    (error: unknown) => {
      throw new Error(
        `PostgreSQL does not run as root, there is no user "${accountName}", and useradd could not make one. ` +
          `Create that user, run Tidemark as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.`,
        { cause: error },
      );
    },
  );
  const made = await findAccount();
  if (made === undefined) throw new Error(`useradd reported success, yet there is no user "${accountName}".`);
  return made;
}

async function findAccount(): Promise<Account | undefined> {
  const passwd = await readFile('/etc/passwd', 'utf8');
  const line = passwd.split('\n').find((entry) => entry.startsWith(`${accountName}:`));
  if (line !== undefined) {
    const [, , uid, gid] = line.split(':');
    return { name: accountName, uid: Number(uid), gid: Number(gid) };
  }
  const [uid, gid] = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, accountName]).catch(() => undefined)));
  if (uid === undefined || gid === undefined) return undefined;
  return { name: accountName, uid: Number(uid.stdout), gid: Number(gid.stdout) };
}

/** The first directory on the way to `path` (a directory) that the account may not pass; undefined if it can reach `path`. */
export async function firstBarrier(path: string, account: Account): Promise<string | undefined> {
  const parents: string[] = [];
  for (let directory = await realpath(path); ; directory = dirname(directory)) {
    parents.unshift(directory);
    if (directory === dirname(directory)) break;
  }
  for (const directory of parents) {
    const { mode, uid, gid } = await stat(directory);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return directory;
  }
  return undefined;
}

/** Makes a directory and everything in it the account's. */
export async function giveTo(directory: string, account: Account): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chown(directory, account.uid, account.gid);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await giveTo(path, account);
    else await lchown(path, account.uid, account.gid);
  }
}
