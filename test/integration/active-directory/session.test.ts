import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { createAccount, setPassword, type TestAccount } from '../../support/samba-accounts.ts';
import { listing, openSession, readWhole, replace } from './support.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 });

let dc: SambaServer;
let other: SambaServer;
let account: TestAccount;

beforeAll(async () => {
  [dc, other] = await Promise.all([startSamba({ requireEncryption: true }), startSamba()]);
  account = await createAccount(dc, 'ordinary', { seesDeletions: false });
});
afterAll(async () => {
  await dc?.[Symbol.asyncDispose]();
  await other?.[Symbol.asyncDispose]();
});

const plain = { caFile: undefined };

/** Listens on a free port and says which. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('Not listening');
  return address.port;
}

describe('connections', () => {
  test('LDAPS with the certificate of the authority', async () => {
    await using session = await openSession(dc);
    expect(session.server).toEqual({ id: expect.stringMatching(/^[0-9a-f]{8}-/), name: dc.hostName });
  });

  test('StartTLS is used for ldap:// without being asked for', async () => {
    await using session = await openSession(dc, { settings: { urls: [dc.ldapUrl] } });
    expect((await session.check()).findings.filter(({ subject }) => subject === 'encryption')).toEqual([]);
    expect((await listing(session, 'users')).size).toBeGreaterThan(0);
  });

  test.each(['ldaps', 'ldap'] as const)(
    'a certificate that is not trusted is refused over %s, and the remedy names caFile',
    async (scheme) => {
      const opened = openSession(dc, { settings: { urls: [`${scheme}://${dc.address}`], ...plain } });
      await expect(opened).rejects.toMatchObject({ type: 'InvalidConfiguration', details: { remedy: expect.stringContaining('caFile') } });
    },
  );

  test.each([
    ['ldaps', 636],
    ['ldap', 389],
  ] as const)('a certificate for another name is refused over %s, and the remedy names urls', async (scheme, port) => {
    const sockets = new Set<Socket>();
    const forwarder = createServer((socket) => {
      const onward = connect(port, dc.address);
      for (const end of [socket, onward]) sockets.add(end.on('error', () => undefined));
      socket.pipe(onward).pipe(socket);
    });
    const localPort = await listen(forwarder);
    try {
      const opened = openSession(dc, { settings: { urls: [`${scheme}://127.0.0.1:${localPort}`] } });
      await expect(opened).rejects.toMatchObject({ type: 'InvalidConfiguration', details: { remedy: expect.stringContaining('in urls') } });
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => forwarder.close(resolve));
    }
  });

  test('plain ldap:// without StartTLS is refused before anything is sent', () => {
    const settings = { urls: [dc.ldapUrl], bindDn: dc.adminDn, bindPassword: { env: 'PASSWORD' }, baseDn: dc.baseDn, startTls: false };
    const parsed = activeDirectory.settings.safeParse(settings);
    expect(parsed.success).toBe(false);
    expect(parsed.error?.issues[0]).toMatchObject({ path: ['urls', 0], params: { remedy: expect.stringContaining('allowPlaintext') } });
  });

  test('plain ldap:// that was allowed works with a warning', async () => {
    await using session = await openSession(other, { settings: { urls: [other.ldapUrl], allowPlaintext: true, ...plain } });
    const { findings } = await session.check();
    expect(findings.find(({ subject }) => subject === 'encryption')).toMatchObject({ severity: 'warning' });
  });

  test('a server that insists on encryption says so', async () => {
    const opened = openSession(dc, { settings: { urls: [dc.ldapUrl], allowPlaintext: true, ...plain } });
    await expect(opened).rejects.toMatchObject({ type: 'InvalidConfiguration', details: { remedy: expect.stringContaining('ldaps://') } });
  });

  test('a server that can not be reached is unavailable', async () => {
    const opened = openSession(dc, { settings: { urls: ['ldaps://127.0.0.1:1'] } });
    await expect(opened).rejects.toMatchObject({ type: 'SourceUnavailable', message: expect.stringContaining('127.0.0.1:1') });
  });

  test('the next address is tried when one can not be reached', async () => {
    await using session = await openSession(dc, { settings: { urls: ['ldaps://127.0.0.1:1', dc.ldapsUrl] } });
    expect(session.server.name).toBe(dc.hostName);
  });

  test('a server that accepts connections and says nothing ends with a timeout', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket));
    const port = await listen(silent);
    try {
      for (const scheme of ['ldap', 'ldaps']) {
        const settings = { urls: [`${scheme}://127.0.0.1:${port}`], connectTimeout: '200ms', requestTimeout: '200ms' };
        await expect(openSession(dc, { settings })).rejects.toMatchObject({ type: 'SourceUnavailable' });
      }
      const stop = new AbortController();
      const opened = openSession(dc, { settings: { urls: [`ldaps://127.0.0.1:${port}`] }, signal: stop.signal });
      stop.abort(new Error('cancelled'));
      await expect(opened).rejects.toThrow('cancelled');
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => silent.close(resolve));
    }
  });

  test('an aborted session answers no more', async () => {
    const stop = new AbortController();
    await using session = await openSession(dc, { signal: stop.signal, pageSize: 2 });
    const read = session.readAll('users', await session.mark('users'));
    await read.next();
    stop.abort(new Error('cancelled'));
    await expect(readWhole(read)).rejects.toThrow('cancelled');
  });
});

describe('sign-in', () => {
  test('a wrong password fails the authentication, without the password in the message', async () => {
    const opened = openSession(dc, { password: 'Wrong.Password.9' });
    await expect(opened).rejects.toMatchObject({ type: 'AuthenticationFailed', message: expect.stringMatching(/password is wrong.*52e/) });
    await expect(openSession(dc, { password: 'Wrong.Password.9' })).rejects.not.toMatchObject({
      message: expect.stringContaining('Wrong.Password'),
    });
  });

  test('a disabled account is named as such', async () => {
    const client = await dc.client();
    const dn = `CN=disabled,CN=Users,${dc.baseDn}`;
    await client.add(dn, { objectClass: 'user', sAMAccountName: 'disabled' });
    await setPassword(client, dn, 'Ordinary.Account.1');
    await client.modify(dn, replace('userAccountControl', '514'));
    await client.unbind();
    const opened = openSession(dc, { settings: { bindDn: dn }, password: 'Ordinary.Account.1' });
    await expect(opened).rejects.toMatchObject({ type: 'AuthenticationFailed', message: expect.stringContaining('disabled') });
  });

  test('an empty password is refused: the server would take it for an anonymous sign-in', async () => {
    await expect(openSession(dc, { password: '' })).rejects.toMatchObject({ type: 'InvalidConfiguration' });
  });
});

describe('the server of a marker', () => {
  test('is looked for among all addresses', async () => {
    await using first = await openSession(other);
    await using second = await openSession(dc);
    const directory = await mkdtemp(join(tmpdir(), 'tidemark-authorities-'));
    try {
      const caFile = join(directory, 'ca.pem');
      await writeFile(caFile, (await Promise.all([dc, other].map((server) => readFile(server.caFile, 'utf8')))).join(''));
      const settings = { urls: ['ldaps://127.0.0.1:1', other.ldapsUrl, dc.ldapsUrl], caFile };
      for (const { server } of [first, second]) {
        await using found = await openSession(dc, { settings, server });
        expect(found.server).toEqual(server);
      }
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('that is not there ends in ServerChanged', async () => {
    const opened = openSession(dc, { server: { id: '00000000-0000-0000-0000-000000000000', name: 'dc9.corp.example' } });
    await expect(opened).rejects.toMatchObject({ type: 'ServerChanged', message: expect.stringContaining('dc9.corp.example') });
  });

  test('decides whether the marker is valid, and reading with a marker of another one is refused', async () => {
    await using session = await openSession(dc);
    await using stranger = await openSession(other);
    const marker = await session.mark('users');
    expect(await session.judge('users', marker)).toEqual({ valid: true });
    expect(await stranger.judge('users', marker)).toMatchObject({ valid: false, reason: expect.stringContaining('restored or made anew') });
    await expect(readWhole(stranger.readChanges('users', marker, await stranger.mark('users')))).rejects.toMatchObject({
      type: 'ServerChanged',
    });
    await expect(readWhole(stranger.readAll('users', marker))).rejects.toMatchObject({ type: 'ServerChanged' });
  });

  test('that was set back makes the marker invalid', async () => {
    await using session = await openSession(dc);
    const marker = await session.mark('users');
    const ahead = { ...marker, position: (BigInt(marker.position) + 1_000n).toString() };
    expect(await session.judge('users', ahead)).toMatchObject({ valid: false, reason: expect.stringContaining('set back') });
  });

  test('forgets deletions after the tombstone lifetime', async () => {
    await using session = await openSession(dc);
    const marker = await session.mark('users');
    const daysAgo = (days: number) => ({ ...marker, takenAt: new Date(Date.parse(marker.takenAt) - days * 86_400_000).toISOString() });
    expect(await session.judge('users', daysAgo(179))).toEqual({ valid: true });
    expect(await session.judge('users', daysAgo(180))).toMatchObject({ valid: false, reason: expect.stringContaining('180 days') });
  });

  test('of another kind of position is no marker for these settings', async () => {
    await using session = await openSession(dc);
    await using byTime = await openSession(dc, { settings: { marker: 'whenChanged' } });
    expect(await byTime.judge('users', await session.mark('users'))).toMatchObject({
      valid: false,
      reason: expect.stringContaining('usn'),
    });
  });
});

describe('configuration', () => {
  test('a base that does not exist is named by the check and by a read', async () => {
    await using session = await openSession(dc, { streams: { users: { base: `OU=Nowhere,${dc.baseDn}` } } });
    expect((await session.check()).findings).toContainEqual(
      expect.objectContaining({ severity: 'failure', subject: 'base', failure: 'InvalidConfiguration' }),
    );
    await expect(readWhole(session.readAll('users', await session.mark('users')))).rejects.toMatchObject({ type: 'InvalidConfiguration' });
  });

  test('a base in another domain is refused', async () => {
    await expect(openSession(dc, { streams: { users: { base: 'DC=elsewhere,DC=example' } } })).rejects.toMatchObject({
      type: 'InvalidConfiguration',
    });
  });

  test('an attribute that the schema does not know is named', async () => {
    const opened = openSession(dc, { streams: { users: { attributes: ['costCentre'] } } });
    await expect(opened).rejects.toMatchObject({ type: 'InvalidConfiguration', message: expect.stringContaining('costCentre') });
  });

  test('a back-link that mapping reads is refused unless the stream lists it and is read completely', async () => {
    await expect(openSession(dc, { streams: { users: {} }, attributes: ['memberOf'] })).rejects.toMatchObject({
      type: 'InvalidConfiguration',
      details: { stream: 'users', remedy: expect.stringContaining('attributes') },
    });
    await using session = await openSession(dc, { streams: { users: { attributes: ['memberOf'] } }, attributes: ['memberOf'] });
    const groups = [...(await listing(session, 'users')).values()].find(({ key }) => key === dc.adminDn)?.attributes.memberOf;
    expect(groups).toContainEqual(expect.stringMatching(/^[0-9a-f-]{36}$/));
  });

  test('a secret is never read', async () => {
    const opened = openSession(dc, { streams: { users: { attributes: ['unicodePwd'] } } });
    await expect(opened).rejects.toMatchObject({ type: 'InvalidConfiguration', message: expect.stringContaining('secret') });
  });
});

describe('rights', () => {
  test('an account that may not see deletions is told how to get the right, and no read succeeds', async () => {
    await using session = await openSession(dc, { settings: { bindDn: account.dn }, password: account.password });
    expect((await session.check()).findings).toContainEqual(
      expect.objectContaining({
        severity: 'failure',
        subject: 'deleted-objects',
        failure: 'RightsMissing',
        remedy: expect.stringContaining('LCRP'),
      }),
    );
    const marker = await session.mark('users');
    await expect(readWhole(session.readChanges('users', marker, marker))).rejects.toMatchObject({ type: 'RightsMissing' });
  });

  test('everything is in order for an administrator', async () => {
    await using session = await openSession(dc);
    const { findings } = await session.check();
    expect(findings.filter(({ severity }) => severity !== 'ok')).toEqual([]);
    expect(new Set(findings.map(({ subject }) => subject))).toEqual(
      new Set(['sign-in', 'base', 'deleted-objects', 'clock', 'version', 'page-size']),
    );
  });
});
