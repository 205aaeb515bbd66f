import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { conforms } from '../support/conforms.ts';
import { type S3Server, startS3 } from '../support/s3.ts';
import { type SshdServer, startSshd } from '../support/sshd.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { changesHarness, type FileStore, type FileStoreForCheck, noConnection, snapshotHarness } from './flat-file-source.ts';

/** What files can not be made to do. */
const never = ['empty-page', 'repeated-object', 'out-of-scope', 'rate-limit', 'lost-rights', 'expired-marker', 'marker-ahead'];
const withoutConnection = ['cut-connection', 'cut-connection-in-delta', 'expired-sign-in'];

/** Files are delivered as they should be: under another name, then renamed. */
const inFolder = (folder: string): FileStore => ({
  async put(name, text) {
    await writeFile(join(folder, `${name}.tmp`), text);
    await rename(join(folder, `${name}.tmp`), join(folder, name));
  },
  remove: (name) => rm(join(folder, name)),
});

describe('in a local folder', () => {
  let top: string;

  beforeAll(async () => {
    top = await mkdtemp(join(tmpdir(), 'tidemark-files-'));
  });
  afterAll(() => rm(top, { recursive: true, force: true }));

  async function localFolder(): Promise<FileStoreForCheck> {
    const folder = await mkdtemp(join(top, 'check-'));
    return { ...inFolder(folder), settings: { folder }, beforeRequest: noConnection, cut: noConnection, expireSignIn: noConnection };
  }

  describe('snapshots', () => {
    conforms(() => snapshotHarness(localFolder), [...never, ...withoutConnection]);
  });

  describe('change files', () => {
    conforms(() => changesHarness(localFolder), [...never, ...withoutConnection], 6);
  });
});

describe('on an OpenSSH server', () => {
  let server: SshdServer;
  let proxy: TcpProxy;
  const undo = new AsyncDisposableStack();

  beforeAll(async () => {
    server = undo.use(await startSshd());
    proxy = undo.use(await startTcpProxy({ host: server.address, port: server.port }));
  }, 300_000);
  afterAll(() => undo.disposeAsync());

  async function onServer(): Promise<FileStoreForCheck> {
    const folder = await mkdtemp(join(server.folder, 'check-'));
    const { username, hostKey } = server;
    return {
      ...inFolder(folder),
      settings: { sftp: { host: '127.0.0.1', port: proxy.port, username, hostKey, privateKey: { env: 'KEY' }, folder } },
      secret: () => Promise.resolve(server.privateKey),
      beforeRequest: (handler) => {
        proxy.beforeRequest = handler;
      },
      cut: async () => proxy.cut(),
      expireSignIn: () => server.accept(false),
      async [Symbol.asyncDispose]() {
        proxy.beforeRequest = undefined;
        await server.accept(true);
      },
    };
  }

  conforms(() => snapshotHarness(onServer), never, 1);
});

describe('in S3', () => {
  let server: S3Server;
  let proxy: TcpProxy;
  let checks = 0;
  const undo = new AsyncDisposableStack();

  beforeAll(async () => {
    server = undo.use(await startS3());
    proxy = undo.use(await startTcpProxy({ host: server.address, port: server.port }));
  });
  afterAll(() => undo.disposeAsync());

  async function inBucket(): Promise<FileStoreForCheck> {
    checks += 1;
    const prefix = `check-${checks}/`;
    const { bucket } = server;
    const key = { env: 'KEY' };
    let secret = server.accessKey;
    return {
      put: (name, text) => server.put(`${prefix}${name}`, text),
      remove: (name) => server.remove(`${prefix}${name}`),
      settings: {
        s3: { bucket, prefix, endpoint: `http://${'127.0.0.1'}:${proxy.port}`, pathStyle: true, accessKeyId: key, secretAccessKey: key },
      },
      secret: () => Promise.resolve(secret),
      beforeRequest: (handler) => {
        proxy.beforeRequest = handler;
      },
      cut: async () => proxy.cut(),
      async expireSignIn() {
        secret = 'another key';
      },
      async [Symbol.asyncDispose]() {
        proxy.beforeRequest = undefined;
      },
    };
  }

  conforms(() => snapshotHarness(inBucket), never, 2);
});
