import type { Client } from 'ldapts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Session } from '../../../connectors/connector.ts';
import { add, remove, replace } from '../../support/directory-edits.ts';
import { startDirectoryProxy } from '../../support/directory-proxy.ts';
import { type DirsrvServer, startDirsrv, targets } from '../../support/dirsrv.ts';
import { idsOf, listing, readWhole } from '../active-directory/support.ts';
import { expectFollowed, type OpenChoices, openSession } from './support.ts';

let server: DirsrvServer;
let client: Client;
let number = 0;
/** An OU for each test. */
let base: string;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  server = undo.use(await startDirsrv());
  client = await server.client();
  undo.defer(() => client.unbind());
});
afterAll(() => undo.disposeAsync());
beforeEach(async () => {
  base = `ou=Test ${++number},${server.suffix}`;
  await client.add(base, { objectClass: 'organizationalUnit' });
});

const person = (name: string): string => `uid=${name},${base}`;
const addPerson = (name: string, dn = person(name)): Promise<void> =>
  client.add(dn, { objectClass: 'inetOrgPerson', uid: name, cn: name, sn: name });
const choices = (more: OpenChoices = {}): OpenChoices => ({
  ...more,
  settings: { marker: 'changeNumber', baseDn: base, ...more.settings },
});
const open = (more?: OpenChoices): Promise<Session> => openSession(server, choices(more));
const followed = (change: () => Promise<void>): ReturnType<typeof expectFollowed> => expectFollowed(server, choices(), change);

/** Look-up keys of the members of the one group. */
function memberKeys(objects: Awaited<ReturnType<typeof expectFollowed>>): readonly (string | undefined)[] {
  const found = [...objects.values()].find(({ key }) => key?.startsWith('cn='));
  return (found?.links.member ?? []).map((id) => objects.get(id)?.key).toSorted();
}

async function troubles(more?: OpenChoices): Promise<readonly string[]> {
  await using session = await open(more);
  const report = await session.check();
  return report.findings.flatMap(({ severity, subject, remedy }) => (severity === 'failure' ? [`${subject}: ${remedy}`] : []));
}

describe('deltas by the retro changelog', () => {
  test('follow all below a container that is renamed, moved and renamed again', async () => {
    await client.add(`ou=a,${base}`, { objectClass: 'organizationalUnit' });
    await client.add(`ou=b,${base}`, { objectClass: 'organizationalUnit' });
    await client.add(`ou=inner,ou=a,${base}`, { objectClass: 'organizationalUnit' });
    const ada = `uid=ada,ou=inner,ou=a,${base}`;
    await addPerson('ada', ada);
    await client.add(`cn=all,${base}`, { objectClass: 'groupOfNames', member: ada });
    const objects = await followed(async () => {
      await client.modifyDN(`ou=a,${base}`, 'ou=c');
      await client.modifyDN(`ou=c,${base}`, `ou=d,ou=b,${base}`);
    });
    expect([...objects.values()].map(({ key }) => key)).toContain(`uid=ada,ou=inner,ou=d,ou=b,${base}`);
    // Nothing changes the group's reference to a name that nobody has any more, until somebody gets it.
    expect(memberKeys(objects)).toEqual([]);
    const again = await followed(() => client.modifyDN(`ou=d,ou=b,${base}`, `ou=a,${base}`));
    expect(memberKeys(again)).toEqual([ada]);
  });

  test('follow the deletion of a member, and somebody who gets the name that its group still holds', async () => {
    await addPerson('ada');
    await client.add(`cn=all,${base}`, { objectClass: 'groupOfNames', member: person('ada') });
    expect(memberKeys(await followed(() => client.del(person('ada'))))).toEqual([]);
    expect(memberKeys(await followed(() => addPerson('ada')))).toEqual([person('ada')]);
    await client.del(person('ada'));
    await addPerson('bob');
    expect(memberKeys(await followed(() => client.modifyDN(person('bob'), 'uid=ada')))).toEqual([person('ada')]);
  });

  test.each(['hidden from', 'shown to'])('follow a uid that changes, what was written being %s the account', async (shown) => {
    if (shown === 'shown to') await server.letRead('cn=changelog', 'targetattr = "*"');
    await addPerson('ada');
    await addPerson('bob');
    await client.add(`cn=posix,${base}`, { objectClass: ['top', 'posixGroup'], gidNumber: '4711', memberUid: ['ada', 'fay'] });
    expect(memberKeys(await followed(() => client.modify(person('bob'), add('uid', 'fay'))))).toEqual([person('ada'), person('bob')]);
    expect(memberKeys(await followed(() => client.modify(person('bob'), remove('uid', 'fay'))))).toEqual([person('ada')]);
    expect(memberKeys(await followed(() => client.modifyDN(person('ada'), 'uid=ann')))).toEqual([]);
    await server.letRead('cn=changelog', targets.log);
  });

  test('read every change of more than one search of the log', async () => {
    for (let index = 0; index < 520; index += 1) await addPerson(`p${index}`);
    const objects = await followed(async () => {
      for (let index = 0; index < 520; index += 1) await client.modify(person(`p${index}`), replace('cn', `Changed ${index}`));
      await client.del(person('p7'));
    });
    expect([...objects.values()].filter(({ attributes }) => String(attributes.cn).startsWith('Changed'))).toHaveLength(519);
  });

  test('do not believe a log that is purged while they read it', async () => {
    await using proxy = await startDirectoryProxy(server);
    await using session = await open({ settings: { urls: [proxy.url] } });
    const marker = await session.mark('users');
    await addPerson('ada');
    await addPerson('bob');
    const upTo = await session.mark('users');
    const [first = 0] = [marker, upTo].map(({ position }) => Number(position.split(' ')[0]));
    proxy.beforeSearch = async (_, paged) => {
      // The search for the records: of those from the marker's on the last alone is left, as purging leaves it.
      if (!paged) return;
      proxy.beforeSearch = undefined;
      for (const number of [first, first + 1]) await client.del(`changenumber=${number},cn=changelog`);
    };
    await expect(readWhole(session.readChanges('users', marker, upTo))).rejects.toMatchObject({ type: 'ServerChanged' });
  });

  test('leave alone what did not change since the marker', async () => {
    await addPerson('ada');
    await using session = await open();
    const marker = await session.mark('users');
    expect((await readWhole(session.readChanges('users', marker, await session.mark('users')))).items).toEqual([]);
  });
});

describe('limits of the server', () => {
  test.each(['nsPagedLookThroughLimit', 'nsPagedSizeLimit'])(
    '%s ends a listing without a seal, and a delta that has too much to read',
    async (limit) => {
      await using before = await open();
      const marker = await before.mark('users');
      for (let index = 0; index < 120; index += 1) await addPerson(`p${index}`);
      await client.modify(server.readerDn, replace(limit, '50'));
      await using session = await open({ pageSize: 60 });
      const failure = { type: 'ListingIncomplete', details: { remedy: expect.stringContaining('nsPagedLookThroughLimit') } };
      await expect(listing(session, 'users')).rejects.toMatchObject(failure);
      await expect(readWhole(session.readChanges('users', marker, await session.mark('users')))).rejects.toMatchObject(failure);
      await client.modify(server.readerDn, replace(limit, '-1'));
    },
  );
});

describe('an account that loses rights', () => {
  async function withoutRule(dn: string, target: string, work: () => Promise<void>): Promise<void> {
    await server.letRead(dn, undefined);
    try {
      await work();
    } finally {
      await server.letRead(dn, target);
    }
  }

  test('to the entries is answered with success and nothing, which no read believes', async () => {
    for (let index = 0; index < 20; index += 1) await addPerson(`p${index}`);
    await using session = await open({ pageSize: 5 });
    const marker = await session.mark('users');
    const read = session.readAll('users', marker);
    await read.next();
    await withoutRule(server.suffix, targets.entries, async () => {
      await expect(readWhole(read)).rejects.toMatchObject({ type: 'RightsMissing' });
      await expect(readWhole(session.readAll('users', marker))).rejects.toMatchObject({ type: 'RightsMissing' });
      await expect(readWhole(session.readChanges('users', marker, marker))).rejects.toMatchObject({ type: 'RightsMissing' });
    });
    expect((await listing(session, 'users')).size).toBe(20);
  });

  test('to the log is found by the check, and no delta passes without it', async () => {
    await addPerson('ada');
    await using session = await open();
    const marker = await session.mark('users');
    const [ada = ''] = (await listing(session, 'users')).keys();
    await withoutRule('cn=changelog', targets.log, async () => {
      expect(await troubles()).toEqual([expect.stringMatching(/^changelog: .*aci: /)]);
      expect(await session.judge('users', marker)).toMatchObject({ valid: false, reason: expect.stringContaining('may not read it') });
      await expect(session.mark('users')).rejects.toMatchObject({ type: 'RightsMissing' });
      await expect(readWhole(session.readChanges('users', marker, marker))).rejects.toMatchObject({ type: 'RightsMissing' });
      await client.del(person('ada'));
      await using another = await open();
      expect((await another.readByIds('users', [ada])).get(ada)?.kind).toBe('unknown');
    });
    expect((await session.readByIds('users', [ada])).get(ada)).toEqual({ kind: 'gone' });
    expect(idsOf((await readWhole(session.readChanges('users', marker, await session.mark('users')))).items, 'gone')).toContain(ada);
  });
});

describe('a marker', () => {
  /** A server for one test, with somebody in it and a marker. */
  async function withMarker(
    work: (own: DirsrvServer, judge: () => Promise<unknown>, change: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    await using own = await startDirsrv();
    const settings = { marker: 'changeNumber' };
    let count = 0;
    const change = async (): Promise<void> => {
      const root = await own.client();
      await root.modify(own.readerDn, replace('description', String(++count)));
      await root.unbind();
    };
    await own.stop();
    await own.backUp('before');
    await own.restart();
    await change();
    await using session = await openSession(own, { settings });
    const marker = await session.mark('users');
    const judge = async (): Promise<unknown> => {
      await using again = await openSession(own, { settings, server: marker.server });
      return await again.judge('users', marker);
    };
    expect(await judge()).toEqual({ valid: true });
    await work(own, judge, change);
  }

  test('does not outlive a server that was set back, even if that has changed past it', () =>
    withMarker(async (own, judge, change) => {
      await own.stop();
      await own.restore('before');
      await own.restart();
      expect(await judge()).toMatchObject({ valid: false, reason: expect.stringContaining('no further than') });
      await change();
      expect(await judge()).toMatchObject({ valid: false, reason: expect.stringContaining('does not hold the change') });
    }));

  test('does not outlive the log, though it does the plug-in, and the check tells what is missing', () =>
    withMarker(async (own, judge, change) => {
      const settings = { marker: 'changeNumber' };
      const found = async (): Promise<unknown> => {
        await using session = await openSession(own, { settings });
        return (await session.check()).findings.filter(({ severity }) => severity === 'failure');
      };
      await own.restart({ changelog: false });
      expect(await found()).toMatchObject([{ subject: 'changelog', remedy: expect.stringContaining('retro-changelog enable') }]);
      expect(await judge()).toMatchObject({ valid: false, reason: expect.stringContaining('keeps no retro changelog') });
      await own.restart({ changelog: true, recorded: [] });
      expect(await judge()).toEqual({ valid: true });
      await change();
      expect(await found()).toMatchObject([{ subject: 'changelog', remedy: expect.stringContaining('entryuuid:targetEntryUUID') }]);
      await own.restart({
        recorded: ['entryuuid:targetEntryUUID'],
        changelogLines: ['nsslapd-changelogmaxage: 1s', 'nsslapd-changelog-trim-interval: 1s'],
      });
      await expect
        .poll(
          async () => {
            await change();
            return judge();
          },
          { timeout: 60_000, interval: 1_000 },
        )
        .toMatchObject({ valid: false, reason: expect.stringContaining('nsslapd-changelogmaxage') });
    }));
});
