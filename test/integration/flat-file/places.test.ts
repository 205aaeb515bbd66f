import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Session } from '../../../connectors/connector.ts';
import { flatFile } from '../../../connectors/flat-file/index.ts';
import { type S3Server, startS3 } from '../../support/s3.ts';
import { type SshdServer, startSshd } from '../../support/sshd.ts';
import { failureOf, objects, readAll, toEnd } from '../../unit/flat-file/reading.ts';

let sshd: SshdServer;
let s3: S3Server;
let folder: string;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-places-'));
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  sshd = undo.use(await startSshd());
  s3 = undo.use(await startS3());
}, 300_000);
afterAll(() => undo.disposeAsync());

function open(settings: object, secret: string, block: object = {}): Promise<Session> {
  const silent = (): void => undefined;
  return flatFile.open({
    settings: flatFile.settings.parse(settings),
    streams: {
      users: {
        settings: flatFile.streamSettings.parse({ files: ['people.csv'], key: 'id', proof: { settle: '0ms' }, ...block }),
        attributes: ['name'],
      },
    },
    pageSize: 1_000,
    signal: new AbortController().signal,
    log: { debug: silent, info: silent, warn: silent },
    secret: () => Promise.resolve(secret),
  });
}

const onSshd = (change: object = {}): Promise<Session> => {
  const { address: host, port, username, hostKey, folder: files, privateKey } = sshd;
  return open({ sftp: { host, port, username, hostKey, folder: files, privateKey: { env: 'KEY' }, ...change } }, privateKey);
};

const inS3 = (change: object = {}, secret = s3.accessKey): Promise<Session> => {
  const key = { env: 'KEY' };
  const endpoint = `http://${s3.address}:${s3.port}`;
  return open({ s3: { bucket: s3.bucket, endpoint, pathStyle: true, accessKeyId: key, secretAccessKey: key, ...change } }, secret);
};

/** More bytes than are asked for at once, many times over. */
const many = (count: number): string =>
  `id,name\n${Array.from({ length: count }, (_, index) => `${index},Person number ${index}\n`).join('')}`;

test('a long file comes whole over SFTP and from S3, and in order', async () => {
  await writeFile(join(sshd.folder, 'people.csv'), many(60_000));
  await s3.put('people.csv', many(60_000));
  for (const session of [await onSshd(), await inS3()]) {
    await using reading = session;
    const read = objects((await readAll(reading)).items);
    expect(Object.keys(read)).toHaveLength(60_000);
    expect(read[59_999]).toEqual({ name: 'Person number 59999' });
  }
});

test('a server with another host key than the pinned one is refused before anything is sent', async () => {
  const other = `SHA256:${'A'.repeat(43)}`;
  expect(await failureOf(onSshd({ hostKey: other }))).toMatch(
    /^AuthenticationFailed: .* shows the host key SHA256:\S+, but hostKey is SHA256:AAA/,
  );
});

test('an account, a server, a folder, a bucket, a key that are not there are told apart', async () => {
  expect(await failureOf(onSshd({ username: 'nobody-of-this-name' }))).toMatch(/^AuthenticationFailed: .* refuses the sign-in/);
  expect(await failureOf(onSshd({ port: 1 }))).toMatch(/^SourceUnavailable: .*:1 can not be reached/);
  await using wrongFolder = await onSshd({ folder: `${sshd.folder}/none` });
  expect(await failureOf(wrongFolder.check())).toMatch(/^SourceUnavailable: .* has no such folder/);
  await using wrongBucket = await inS3({ bucket: 'no-such-bucket' });
  expect(await failureOf(wrongBucket.check())).toMatch(/^InvalidConfiguration: .* has no bucket no-such-bucket/);
  await using wrongKey = await inS3({}, 'wrong');
  expect(await failureOf(wrongKey.check())).toMatch(/^AuthenticationFailed: .* refuses the sign-in/);
});

test('a file that is missing is told by its name, in each place', async () => {
  await using over = await onSshd();
  await using from = await inS3();
  await using local = await open({ folder }, '');
  await rm(join(sshd.folder, 'people.csv'));
  await s3.remove('people.csv');
  for (const session of [over, from, local]) {
    expect(await failureOf(session.mark('users'))).toMatch(/^ListingIncomplete: people\.csv: there is no such file/);
  }
});

test('a file that is written to while it is read is refused; one that is replaced meanwhile is read as it was', async () => {
  for (const [place, session] of [
    [folder, await open({ folder }, '')],
    [sshd.folder, await onSshd()],
  ] as const) {
    await using reading = session;
    const file = join(place, 'people.csv');
    const begun = async () => {
      await writeFile(file, many(2_500));
      const read = reading.readAll('users', await reading.mark('users'));
      await read.next();
      return read;
    };
    const appended = await begun();
    await appendFile(file, 'x,Somebody\n');
    expect(await failureOf(toEnd(appended))).toMatch(/^ListingIncomplete: people\.csv: it was written to while it was read/);
    const replaced = await begun();
    await writeFile(`${file}.tmp`, many(3));
    await rename(`${file}.tmp`, file);
    expect((await toEnd(replaced)).end).toMatchObject({ covers: 'listing', seal: { objects: 2_500 } });
  }
});
