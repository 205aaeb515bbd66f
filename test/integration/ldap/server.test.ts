import type { Client } from 'ldapts';
import { describe, expect, test } from 'vitest';
import { ldap } from '../../../connectors/ldap/index.ts';
import { replace } from '../../support/directory-edits.ts';
import { type SlapdOptions, type SlapdServer, startSlapd } from '../../support/slapd.ts';
import { idsOf, listing, readWhole } from '../active-directory/support.ts';
import { entry, expectFollowed, type OpenChoices, openSession } from './support.ts';

const suffix = 'dc=corp,dc=example';
const person = (name: string): string => `uid=${name},${suffix}`;

/** People `p0`, `p1` and so on. */
function people(count: number): Iterable<string> {
  return Array.from({ length: count }, (_, index) => entry(person(`p${index}`), { objectClass: 'inetOrgPerson', cn: 'P', sn: 'P' }));
}

async function withServer(options: SlapdOptions, work: (server: SlapdServer, client: Client) => Promise<void>): Promise<void> {
  await using server = await startSlapd(options);
  const client = await server.client();
  try {
    await work(server, client);
  } finally {
    await client.unbind();
  }
}

async function findings(server: SlapdServer, choices: OpenChoices = {}): Promise<readonly string[]> {
  await using session = await openSession(server, choices);
  const report = await session.check();
  return report.findings.filter(({ severity }) => severity !== 'ok').map(({ severity, subject }) => `${severity} ${subject}`);
}

describe('limits of the server', () => {
  test.each([
    ['of the answer', 'size=50'],
    ['of all pages', 'size=unlimited size.prtotal=50'],
    ['of a page', 'size=unlimited size.pr=50'],
  ])('%s end a listing without a seal, with what to do', (_, limits) =>
    withServer({ limits, ldif: people(120) }, async (server) => {
      await using session = await openSession(server, { pageSize: 60 });
      await expect(listing(session, 'users')).rejects.toMatchObject({
        type: 'ListingIncomplete',
        details: { remedy: expect.stringContaining('size=unlimited') },
      });
    }),
  );
});

describe('the access log', () => {
  test('that was purged past the marker makes it invalid', () =>
    withServer({}, async (server, client) => {
      await client.add(person('ada'), { objectClass: 'inetOrgPerson', cn: 'ada', sn: 'ada' });
      await using session = await openSession(server);
      const marker = await session.mark('users');
      await client.del(person('ada'));
      const config = await server.client('config');
      await config.modify('olcOverlay={1}accesslog,olcDatabase={2}mdb,cn=config', [replace('olcAccessLogPurge', '00:00:01 00:00:01')]);
      await config.unbind();
      await expect
        .poll(() => session.judge('users', marker), { timeout: 30_000 })
        .toMatchObject({ valid: false, reason: expect.stringContaining('logpurge') });
      expect(await session.judge('users', await session.mark('users'))).toEqual({ valid: true });
    }));

  test('that can not be read is found by the check, and no delta passes without it', () =>
    withServer({}, async (server) => {
      await using before = await openSession(server);
      const marker = await before.mark('users');
      await server.restart({ logAccess: ['access to * by * none'] });
      expect(await findings(server)).toEqual(['failure deletions']);
      await using session = await openSession(server);
      expect(await session.judge('users', marker)).toMatchObject({ valid: false, reason: expect.stringContaining('can not be read') });
      await expect(readWhole(session.readChanges('users', marker, marker))).rejects.toMatchObject({ type: 'RightsMissing' });
    }));

  test('is not asked for where settings say that there is none: deleted entries wait for a complete sync', () =>
    withServer({ accessLog: false, ldif: people(3) }, async (server, client) => {
      expect(await findings(server)).toEqual(['failure deletions']);
      const settings = { deletions: 'none' };
      expect(await findings(server, { settings })).toEqual([]);
      const declared = ldap.streams(
        ldap.settings.parse({ urls: ['ldaps://x'], bindDn: 'x', bindPassword: { env: 'X' }, baseDn: 'x', ...settings }),
        {},
      );
      for (const { delta, misses } of declared)
        expect([delta, misses.join(' ')]).toEqual(['partial', expect.stringContaining('complete sync')]);
      await using session = await openSession(server, { settings });
      const before = await listing(session, 'users');
      const marker = await session.mark('users');
      await client.del(person('p1'));
      await client.modify(person('p2'), replace('sn', 'Changed'));
      const { items } = await readWhole(session.readChanges('users', marker, await session.mark('users')));
      expect(idsOf(items, 'object').map((id) => before.get(id)?.key)).toContain(person('p2'));
      expect(idsOf(items, 'gone')).toEqual([]);
      const after = await listing(session, 'users');
      const absent = [...before.keys()].filter((id) => !after.has(id));
      expect(absent.map((id) => before.get(id)?.key)).toEqual([person('p1')]);
      expect([...(await session.readByIds('users', absent)).values()]).toEqual([{ kind: 'gone' }]);
    }));

  test('missing, a renamed container is followed all the same', () =>
    withServer({ accessLog: false }, async (server, client) => {
      await client.add(`ou=a,${suffix}`, { objectClass: 'organizationalUnit' });
      await client.add(`uid=ada,ou=a,${suffix}`, { objectClass: 'inetOrgPerson', cn: 'ada', sn: 'ada' });
      await client.add(person('last'), { objectClass: 'inetOrgPerson', cn: 'last', sn: 'last' });
      const objects = await expectFollowed(server, { settings: { deletions: 'none' } }, () =>
        client.modifyDN(`ou=a,${suffix}`, `ou=b,${suffix}`),
      );
      expect([...objects.values()].map(({ key }) => key)).toContain(`uid=ada,ou=b,${suffix}`);
    }));
});

describe('a server that was set back', () => {
  async function restored(after: (client: Client) => Promise<void>): Promise<unknown> {
    await using server = await startSlapd({ ldif: people(3) });
    await server.stop();
    await server.backUp('before');
    await server.restart();
    const client = await server.client();
    await client.modify(person('p1'), replace('sn', 'Lost'));
    await using session = await openSession(server);
    const marker = await session.mark('users');
    await client.unbind();
    await server.stop();
    await server.restore('before');
    await server.restart();
    const later = await server.client();
    await after(later);
    await later.unbind();
    await using again = await openSession(server, { server: marker.server });
    return await again.judge('users', marker);
  }

  test('makes the marker invalid', async () => {
    expect(await restored(async () => undefined)).toMatchObject({ valid: false, reason: expect.stringContaining('no further than') });
  });

  test('and has changed past the marker since makes it invalid too', async () => {
    const verdict = await restored((client) => client.modify(person('p2'), replace('sn', 'New')));
    expect(verdict).toMatchObject({ valid: false, reason: expect.stringContaining('earlier state') });
  });

  test('is not one that was killed: the marker stays valid, and nothing is missed', () =>
    withServer({ ldif: people(3) }, async (server, client) => {
      await client.modify(person('p1'), replace('sn', 'Kept'));
      await expectFollowed(server, {}, async () => {
        await server.kill();
        await server.restart();
        const again = await server.client();
        await again.modify(person('p2'), replace('sn', 'After'));
        await again.del(person('p0'));
        await again.unbind();
      });
    }));

  test('nor is one that was killed and did not change since', () =>
    withServer({ ldif: people(3) }, async (server, client) => {
      await client.modify(person('p1'), replace('sn', 'Kept'));
      await expectFollowed(server, {}, async () => {
        await server.kill();
        await server.restart();
      });
    }));
});

test('a replica that has not got as far as the run is refused in the middle of it', () =>
  withServer({ ldif: people(2) }, async (server) => {
    await using session = await openSession(server);
    const marker = await session.mark('users');
    const ahead = { ...marker, position: marker.position.replace(/^\d{4}/, (year) => String(Number(year) + 1)) };
    await expect(readWhole(session.readAll('users', ahead))).rejects.toMatchObject({ type: 'ServerChanged' });
    await expect(readWhole(session.readChanges('users', marker, ahead))).rejects.toMatchObject({ type: 'ServerChanged' });
  }));

test('a database that was made anew is another server', async () => {
  await using first = await startSlapd();
  await using session = await openSession(first);
  const marker = await session.mark('users');
  await using second = await startSlapd();
  await expect(openSession(second, { server: marker.server })).rejects.toMatchObject({ type: 'ServerChanged' });
  await using other = await openSession(second);
  expect(await other.judge('users', marker)).toMatchObject({ valid: false });
});

test('without contextCSN the check says what to do, and modifyTimestamp serves instead', () =>
  withServer({ syncprov: false, accessLog: false, ldif: people(3) }, async (server, client) => {
    // slapadd -w wrote one, which stands still from now on: the check sees the entries go past it.
    await client.modify(person('p0'), replace('sn', 'One'));
    await client.modify(person('p1'), replace('sn', 'Two'));
    expect(await findings(server, { settings: { deletions: 'none' } })).toEqual(['warning position']);
    const settings = { marker: 'modifyTimestamp' };
    expect(await findings(server, { settings })).toEqual([]);
    const objects = await expectFollowed(server, { settings }, () => client.modify(person('p2'), replace('sn', 'Three')));
    expect(objects.size).toBe(3);
  }));

describe('connections', () => {
  test('LDAPS, StartTLS and plain ones read the same', () =>
    withServer({ ldif: people(2) }, async (server) => {
      for (const settings of [
        {},
        { urls: [server.url] },
        { urls: [server.url], allowPlaintext: true, startTls: false, caFile: undefined },
      ]) {
        await using session = await openSession(server, { settings });
        expect((await listing(session, 'users')).size).toBe(2);
      }
      expect(await findings(server, { settings: { urls: [server.url], allowPlaintext: true, startTls: false } })).toEqual([
        'warning encryption',
      ]);
    }));

  test('an untrusted certificate, a wrong password and a foreign base are told apart', () =>
    withServer({}, async (server) => {
      await expect(openSession(server, { settings: { caFile: undefined } })).rejects.toMatchObject({
        type: 'InvalidConfiguration',
        message: expect.stringContaining('not trusted'),
      });
      await expect(openSession(server, { password: 'wrong' })).rejects.toMatchObject({
        type: 'AuthenticationFailed',
        message: expect.stringContaining('password is wrong'),
      });
      await expect(openSession(server, { settings: { baseDn: 'dc=elsewhere' } })).rejects.toMatchObject({ type: 'InvalidConfiguration' });
      expect(await findings(server, { settings: { baseDn: `ou=nowhere,${suffix}` } })).toEqual(['failure base']);
    }));

  test('the next address is tried while the first server is down', () =>
    withServer({ ldif: people(2) }, async (server) => {
      await using session = await openSession(server, { settings: { urls: ['ldaps://127.0.0.1:1', server.ldapsUrl] } });
      expect((await listing(session, 'users')).size).toBe(2);
    }));
});

test('an account that loses sight of the base in the middle gets no seal', () =>
  withServer({ ldif: people(50) }, async (server) => {
    await using session = await openSession(server, { pageSize: 10 });
    const read = session.readAll('users', await session.mark('users'));
    await read.next();
    const config = await server.client('config');
    await config.modify('olcDatabase={2}mdb,cn=config', [replace('olcAccess', 'to * by anonymous auth by * none')]);
    await config.unbind();
    await expect(readWhole(read)).rejects.toMatchObject({ type: expect.stringMatching(/^(RightsMissing|InvalidConfiguration)$/) });
  }));
