import { createHash } from 'node:crypto';
import ssh2, { type SFTPWrapper, type Stats } from 'ssh2';
import { TidemarkFailure } from '../../model/failure.ts';
import type { OpenFile, Place } from './place.ts';
import { sftpIdentity } from './place-identity.ts';
import type { SftpSettings } from './settings.ts';

export interface SftpOptions {
  readonly settings: SftpSettings;
  readonly password: string | undefined;
  readonly privateKey: string | undefined;
  readonly passphrase: string | undefined;
  readonly pace: (() => Promise<void>) | undefined;
  readonly signal: AbortSignal;
}

/** As much as every server gives at once (draft-ietf-secsh-filexfer-02, 3). */
const readBytes = 32 * 1024;
/** Reads that are under way at once: one after the other they would each take a round trip. */
const readsAhead = 16;

/** Status codes of SFTP version 3. */
const status = { noSuchFile: 2, permissionDenied: 3 } as const;

/** Signs in to a server that shows the host key of the settings. Fails with `AuthenticationFailed` or `SourceUnavailable`. */
export async function openSftp(options: SftpOptions): Promise<Place> {
  const { settings, pace, signal } = options;
  const { folder, host } = settings;
  const client = new ssh2.Client();
  // Each request that is under way waits for the connection's end too.
  client.setMaxListeners(0);
  const sftp = await connect(client, options);
  let closed = false;
  client.once('close', () => {
    closed = true;
  });
  const abort = (): void => void client.destroy();
  signal.addEventListener('abort', abort, { once: true });

  /** One request. The answer to one that the connection broke off never comes. */
  async function ask<Answer>(
    what: string,
    request: (done: (error: Error | undefined | null, answer: Answer) => void) => void,
  ): Promise<Answer> {
    await pace?.();
    signal.throwIfAborted();
    if (closed) throw broken(host);
    return new Promise((resolve, reject) => {
      const lost = (): void => reject(signal.aborted ? signal.reason : broken(host));
      client.once('close', lost);
      request((error, answer) => {
        client.off('close', lost);
        if (error) reject(requestFailure(error, host, what));
        else resolve(answer);
      });
    });
  }

  return {
    identity: sftpIdentity(settings),
    async list() {
      const entries = await ask<{ filename: string; attrs: Stats }[]>(`the folder ${folder}`, (done) => sftp.readdir(folder, done));
      return entries.filter(({ attrs }) => attrs.isFile() || attrs.isSymbolicLink()).map(({ filename }) => filename);
    },
    async open(name) {
      const handle = await ask<Buffer | undefined>(name, (done) =>
        sftp.open(`${folder}/${name}`, 'r', (error, opened) =>
          (error as { code?: number } | undefined)?.code === status.noSuchFile ? done(undefined, undefined) : done(error, opened),
        ),
      );
      return handle === undefined ? undefined : openFile(sftp, handle, name, ask);
    },
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', abort);
      client.end();
    },
  };
}

type Ask = <Answer>(what: string, request: (done: (error: Error | undefined | null, answer: Answer) => void) => void) => Promise<Answer>;

async function openFile(sftp: SFTPWrapper, handle: Buffer, name: string, ask: Ask): Promise<OpenFile> {
  // Of the handle, not of the name: another file in its place is no matter.
  const state = () => ask<Stats>(name, (done) => sftp.fstat(handle, done));
  const before = await state();

  /** These bytes, or fewer where the file has become shorter. */
  async function read(from: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const got = await ask<number>(name, (done) => sftp.read(handle, buffer, filled, length - filled, from + filled, done));
      if (got === 0) break;
      filled += got;
    }
    return buffer.subarray(0, filled);
  }

  return {
    size: before.size,
    writtenAtMs: before.mtime * 1_000,
    async *bytes() {
      const ahead: Promise<Buffer>[] = [];
      let next = 0;
      for (;;) {
        for (; ahead.length < readsAhead && next < before.size; next += readBytes) {
          const part = read(next, Math.min(readBytes, before.size - next));
          // It may fail before its turn comes.
          part.catch(() => undefined);
          ahead.push(part);
        }
        const part = await ahead.shift();
        if (part === undefined) return;
        if (part.length > 0) yield part;
      }
    },
    async isUnchanged() {
      const now = await state();
      return now.size === before.size && now.mtime === before.mtime;
    },
    async [Symbol.asyncDispose]() {
      // A handle of a connection that is broken is closed already.
      await ask<void>(name, (done) => sftp.close(handle, (error) => done(error, undefined))).catch(() => undefined);
    },
  };
}

function connect(client: ssh2.Client, { settings, password, privateKey, passphrase, signal }: SftpOptions): Promise<SFTPWrapper> {
  const { host, port, username, hostKey, connectTimeout } = settings;
  let shown: string | undefined;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const fail = (error: Error & { level?: string }): void => reject(signInFailure(error, settings, shown));
    client
      // Requests are small: kept back until the one before is acknowledged, each would take 40 ms more.
      .once('connect', () => client.setNoDelay(true))
      .once('ready', () =>
        client.sftp((error, sftp) => {
          if (error) fail(error);
          else resolve(sftp);
        }),
      )
      .once('close', () => fail(new Error('closed')))
      // The connection's later errors are told by the requests that they end.
      .on('error', fail)
      .connect({
        host,
        port,
        username,
        readyTimeout: connectTimeout,
        keepaliveInterval: 10_000,
        keepaliveCountMax: 6,
        ...(password === undefined ? {} : { password }),
        ...(privateKey === undefined ? {} : { privateKey }),
        ...(passphrase === undefined ? {} : { passphrase }),
        hostVerifier: (key: Buffer) => {
          shown = fingerprint(key);
          return shown === hostKey;
        },
      });
  });
}

/** As ssh-keygen prints it. */
function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

function signInFailure(
  error: Error & { level?: string },
  { host, port, hostKey }: SftpSettings,
  shown: string | undefined,
): TidemarkFailure {
  if (shown !== undefined && shown !== hostKey) {
    return new TidemarkFailure('AuthenticationFailed', `${host} shows the host key ${shown}, but hostKey is ${hostKey}`, {
      remedy: 'Somebody may be in between. Ask who runs the server; if its key was changed, set hostKey to the new one.',
    });
  }
  if (error.level === 'client-authentication') {
    return new TidemarkFailure('AuthenticationFailed', `${host} refuses the sign-in`, {
      remedy: 'Check username, password or privateKey of the settings, and the account on the server.',
    });
  }
  if (/private ?key|passphrase/i.test(error.message)) {
    return new TidemarkFailure('InvalidConfiguration', `The private key for ${host} can not be used`, {
      remedy: 'Give an OpenSSH or PEM private key, and its passphrase if it has one.',
    });
  }
  return new TidemarkFailure(
    'SourceUnavailable',
    `${host}:${port} can not be reached, or broke off the connection`,
    { remedy: 'Check host and port, and that the server runs and offers SFTP.' },
    error,
  );
}

function broken(host: string): TidemarkFailure {
  return new TidemarkFailure('SourceUnavailable', `The connection to ${host} broke`, { remedy: 'It is tried again.' });
}

function requestFailure(error: Error & { code?: number | string }, host: string, what: string): TidemarkFailure {
  if (error.code === status.permissionDenied) {
    return new TidemarkFailure('RightsMissing', `${host} does not let the account read ${what}`, {
      remedy: 'Let the account list the folder and read its files.',
    });
  }
  if (error.code === status.noSuchFile) {
    return new TidemarkFailure('SourceUnavailable', `${host} has no such folder: ${what}`, {
      remedy: 'Check sftp.folder of the settings.',
    });
  }
  return new TidemarkFailure('SourceUnavailable', `${host} does not give ${what}`, { remedy: 'It is tried again.' }, error);
}
