import type { Client } from 'ldapts';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { startDirectoryProxy } from '../../support/directory-proxy.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { createAccount, setDeletionRights } from '../../support/samba-accounts.ts';
import { idsOf, listing, objectsOf, openSession, readWhole, remove, replace } from './support.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 });

let dc: SambaServer;
let client: Client;
let scope: string;
let number = 0;

beforeAll(async () => {
  dc = await startSamba();
});
afterAll(async () => {
  await client?.unbind();
  await dc?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await client?.unbind();
  client = await dc.client();
  number += 1;
  scope = `OU=Test ${number},${dc.baseDn}`;
  await client.add(scope, { objectClass: 'organizationalUnit' });
});

const dnOf = (name: string): string => `CN=${name},${scope}`;
const addUser = (name: string, more: Record<string, string> = {}): Promise<void> =>
  client.add(dnOf(name), { objectClass: 'user', sAMAccountName: `t${number}-${name}`, ...more });

async function addUsers(count: number): Promise<readonly string[]> {
  const names = Array.from({ length: count }, (_, index) => `user${index}`);
  for (const name of names) await addUser(name, { department: 'Sales' });
  return names.map(dnOf);
}

test('a page without entries does not end a listing', async () => {
  await addUsers(30);
  await using proxy = await startDirectoryProxy(dc);
  const streams = { users: { base: scope, filter: '(&(objectClass=user)(department=Sales))' } };
  const settings = { urls: [proxy.url], allowPlaintext: true, caFile: undefined };
  await using session = await openSession(dc, { settings, streams, pageSize: 5 });
  const marker = await session.mark('users');
  // Samba fixes the order of a listing at its first page, and gives the same one for the same search.
  const { pages: expected } = await readWhole(session.readAll('users', marker));
  expect(expected.map((page) => page.length)).toEqual([5, 5, 5, 5, 5, 5]);

  let pages = 0;
  // The connector asks for a page ahead, so that only its request tells when the second one is due.
  proxy.beforeSearch = async (_, paged) => {
    if (!paged || ++pages !== 2) return;
    for (const item of expected[1] ?? []) if (item.kind === 'object') await client.modify(item.key ?? '', replace('department', 'Legal'));
  };
  const { items, end } = await readWhole(session.readAll('users', marker));
  expect(idsOf(items, 'object')).toEqual(expected.filter((_, page) => page !== 1).flatMap((page) => idsOf(page, 'object')));
  expect(end).toMatchObject({ covers: 'listing', seal: { objects: 25 } });
});

test('a group of 1,600 members is read whole, range by range', async () => {
  const members = await addUsers(1_600);
  await client.add(dnOf('Everybody'), { objectClass: 'group', sAMAccountName: `t${number}-all`, member: [...members] });
  for (const memberRange of [7, 800, 1_500]) {
    await using session = await openSession(dc, {
      streams: { groups: { base: scope }, users: { base: scope } },
      pageSize: 1_000,
      settings: { memberRange },
    });
    const users = await listing(session, 'users');
    const [group] = [...(await listing(session, 'groups')).values()];
    expect(group?.links.member?.toSorted()).toEqual([...users.keys()].toSorted());
    const found = await session.readByIds('groups', [group?.id ?? '']);
    expect(found.get(group?.id ?? '')).toMatchObject({ kind: 'found' });
  }
});

test('a group of more members than fit one item comes in slices that say which is the last', async () => {
  const members = await addUsers(6);
  await client.add(dnOf('Team'), {
    objectClass: 'group',
    sAMAccountName: `t${number}-team`,
    member: [...members],
    description: 'six of them',
  });
  await using session = await openSession(dc, { streams: { groups: { base: scope } }, settings: { memberRange: 4 } });
  const { items } = await readWhole(session.readAll('groups', await session.mark('groups')));
  expect(items.map((item) => [item.kind, item.kind === 'links' && item.last])).toEqual([
    ['object', false],
    ['links', false],
    ['links', true],
  ]);
  expect(items[0]).toMatchObject({ links: { owner: [] } });
  expect([...objectsOf(items).values()][0]?.links.member).toHaveLength(6);
});

test('a group without members has an empty list, and a user without a manager too', async () => {
  await client.add(dnOf('Nobody'), { objectClass: 'group', sAMAccountName: `t${number}-none` });
  await addUser('Anna');
  await using session = await openSession(dc, { streams: { groups: { base: scope }, users: { base: scope } } });
  expect([...(await listing(session, 'groups')).values()][0]?.links).toEqual({ member: [], owner: [] });
  expect([...(await listing(session, 'users')).values()][0]?.links.manager).toEqual([]);
});

test('links carry the ids of their targets, the primary group included', async () => {
  await addUser('Boss');
  await addUser('Anna', { manager: dnOf('Boss') });
  await client.add(dnOf('Team'), {
    objectClass: 'group',
    sAMAccountName: `t${number}-team`,
    member: dnOf('Anna'),
    managedBy: dnOf('Boss'),
  });
  await using session = await openSession(dc, { streams: { users: {}, groups: {} } });
  const users = await listing(session, 'users');
  const groups = await listing(session, 'groups');
  const find = (objects: typeof users, key: string) => [...objects.values()].find((object) => object.key === key);
  const boss = find(users, dnOf('Boss'));
  const anna = find(users, dnOf('Anna'));
  expect(anna?.links.manager).toEqual([boss?.id]);
  expect(anna?.links.primaryGroup).toEqual([find(groups, `CN=Domain Users,CN=Users,${dc.baseDn}`)?.id]);
  expect(find(groups, dnOf('Team'))?.links).toEqual({ member: [anna?.id], owner: [boss?.id] });
});

test('attributes come in the form their syntax asks for, under the name they were asked for', async () => {
  const dn = `CN=Zoë \\"Z\\" O'Hara\\, Jr,${scope}`;
  await client.add(dn, {
    objectClass: 'user',
    sAMAccountName: `t${number}-zoe`,
    description: 'Grüße',
    mail: 'zoe@example.org',
    manager: dc.adminDn,
  });
  await using session = await openSession(dc, {
    streams: { users: { base: scope, attributes: ['MAIL', 'objectSid'] } },
    attributes: [
      'objectGUID',
      'objectClass',
      'whenCreated',
      'userAccountControl',
      'accountExpires',
      'description',
      'manager',
      'distinguishedName',
      'title',
      'mail',
    ],
  });
  const [object] = [...(await listing(session, 'users')).values()];
  expect(object?.key).toBe(dn);
  expect(object?.attributes).toEqual({
    objectGUID: object?.id,
    objectClass: ['top', 'person', 'organizationalPerson', 'user'],
    whenCreated: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/),
    userAccountControl: 546,
    accountExpires: '9223372036854775807',
    description: ['Grüße'],
    manager: object?.links.manager?.[0],
    distinguishedName: object?.key,
    mail: 'zoe@example.org',
    MAIL: 'zoe@example.org',
    objectSid: expect.stringMatching(/^S-1-5-21-\d+-\d+-\d+-\d+$/),
  });
});

test('one level is only what lies directly below the base', async () => {
  await addUser('Anna');
  await client.add(`OU=Deep,${scope}`, { objectClass: 'organizationalUnit' });
  await client.add(`CN=Berta,OU=Deep,${scope}`, { objectClass: 'user', sAMAccountName: `t${number}-berta` });
  await using session = await openSession(dc, { streams: { users: { base: scope, scope: 'onelevel' } } });
  const marker = await session.mark('users');
  expect([...(await listing(session, 'users')).values()].map(({ key }) => key)).toEqual([dnOf('Anna')]);
  await client.modifyDN(dnOf('Anna'), `CN=Anna,OU=Deep,${scope}`);
  const { items } = await readWhole(session.readChanges('users', marker, marker));
  expect(items.map(({ kind }) => kind)).toEqual(['unmatched']);
});

test('a listing whose connection is cut gives no seal, and the session answers no more', async () => {
  await addUsers(12);
  await using session = await openSession(dc, { streams: { users: { base: scope } }, pageSize: 5 });
  const marker = await session.mark('users');
  const read = session.readAll('users', marker);
  await read.next();
  await client.unbind();
  await dc.restart();
  await expect(readWhole(read)).rejects.toMatchObject({ type: 'SourceUnavailable' });
  await expect(session.mark('users')).rejects.toMatchObject({ type: 'SourceUnavailable' });
});

test('a listing during which the right to see deletions is taken away gives no seal', async () => {
  const account = await createAccount(dc, `svc-${number}`, { seesDeletions: true });
  await addUsers(7);
  await using session = await openSession(dc, {
    settings: { bindDn: account.dn },
    password: account.password,
    streams: { users: { base: scope } },
    pageSize: 5,
  });
  const read = session.readAll('users', await session.mark('users'));
  await read.next();
  await setDeletionRights(dc, account, false);
  await expect(readWhole(read)).rejects.toMatchObject({ type: 'RightsMissing', details: { remedy: expect.stringContaining('dsacls') } });
});

test('an ordinary account with the documented right sees deletions, restored objects and moved containers', async () => {
  const account = await createAccount(dc, `svc-${number}`, { seesDeletions: true });
  await addUser('Anna');
  await client.add(`OU=A,${scope}`, { objectClass: 'organizationalUnit' });
  await client.add(`CN=Berta,OU=A,${scope}`, { objectClass: 'user', sAMAccountName: `t${number}-berta` });
  await using session = await openSession(dc, {
    settings: { bindDn: account.dn },
    password: account.password,
    streams: { users: { base: scope } },
  });
  const marker = await session.mark('users');
  const known = await listing(session, 'users');
  const anna = [...known.values()].find(({ key }) => key === dnOf('Anna'))?.id;
  await client.del(dnOf('Anna'));
  await client.modifyDN(`OU=A,${scope}`, `OU=B,${scope}`);
  await client.modify(`OU=B,${scope}`, [replace('description', 'x'), remove('description')]);
  const { items } = await readWhole(session.readChanges('users', marker, marker));
  expect(idsOf(items, 'gone')).toContain(anna);
  expect([...objectsOf(items).values()].map(({ key }) => key)).toEqual([`CN=Berta,OU=B,${scope}`]);
});
