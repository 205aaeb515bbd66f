import type { Client } from 'ldapts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { add, remove, replace } from '../../support/directory-edits.ts';
import { type SlapdServer, startSlapd } from '../../support/slapd.ts';
import { idsOf, listing, objectsOf, readWhole } from '../active-directory/support.ts';
import { expectFollowed, openSession } from './support.ts';

let server: SlapdServer;
let client: Client;
let number = 0;
/** An OU for each test, with OUs `people` and `groups`. */
let base: string;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  server = undo.use(await startSlapd());
  client = await server.client();
  undo.defer(() => client.unbind());
});
afterAll(() => undo.disposeAsync());
beforeEach(async () => {
  base = `ou=Test ${++number},${server.suffix}`;
  for (const dn of [base, `ou=people,${base}`, `ou=groups,${base}`]) await client.add(dn, { objectClass: 'organizationalUnit' });
});

const person = (name: string): string => `uid=${name},ou=people,${base}`;
const group = (name: string): string => `cn=${name},ou=groups,${base}`;
const addPerson = (name: string, more: Record<string, string> = {}): Promise<void> =>
  client.add(person(name), { objectClass: 'inetOrgPerson', cn: name, sn: name, ...more });
const addGroup = (name: string, ...members: readonly string[]): Promise<void> =>
  client.add(group(name), { objectClass: 'groupOfNames', member: members.map(person) });
const choices = (): { readonly settings: { readonly baseDn: string } } => ({ settings: { baseDn: base } });

/** Look-up keys of the members of the one group. */
function memberKeys(objects: Awaited<ReturnType<typeof expectFollowed>>, of = 'cn='): readonly (string | undefined)[] {
  const found = [...objects.values()].find(({ key }) => key?.startsWith(of));
  return (found?.links.member ?? []).map((id) => objects.get(id)?.key).toSorted();
}

describe('members', () => {
  test.each([
    ['groupOfNames', 'member'],
    ['groupOfUniqueNames', 'uniqueMember'],
  ])('of %s come by their DNs, whatever spelling', async (objectClass, attribute) => {
    await addPerson('ada');
    await client.add(group('all'), { objectClass, [attribute]: `UID=Ada , ou=People,${base}` });
    await using session = await openSession(server, choices());
    const [ada] = [...(await listing(session, 'users')).keys()];
    expect([...(await listing(session, 'groups')).values()].map(({ links }) => links.member)).toEqual([[ada]]);
  });

  test('of posixGroup come by uid, and follow it when it changes', async () => {
    await addPerson('ada');
    await addPerson('bob');
    await client.add(group('posix'), { objectClass: 'posixGroup', gidNumber: '4711', memberUid: ['ada', 'nobody', 'eve', 'fay'] });
    expect(memberKeys(await expectFollowed(server, choices(), () => addPerson('eve')))).toEqual([person('ada'), person('eve')]);
    const renamed = await expectFollowed(server, choices(), () => client.modifyDN(person('ada'), person('ann')));
    expect(memberKeys(renamed)).toEqual([person('eve')]);
    const another = await expectFollowed(server, choices(), () => client.modify(person('bob'), add('uid', 'fay')));
    expect(memberKeys(another)).toEqual([person('bob'), person('eve')]);
    const less = await expectFollowed(server, choices(), () => client.modify(person('bob'), remove('uid', 'fay')));
    expect(memberKeys(less)).toEqual([person('eve')]);
  });

  test.each([1_500, 1_501, 3_001])('a group of %i members comes whole, completely, as a change and by its id', async (size) => {
    const names = Array.from({ length: size }, (_, index) => `p${index}`);
    for (const name of names) await addPerson(name);
    await using session = await openSession(server, { ...choices(), pageSize: 500 });
    const marker = await session.mark('groups');
    await addGroup('many', ...names);
    const users = new Set((await listing(session, 'users')).keys());
    expect(users.size).toBe(size);
    const [listed] = [...(await listing(session, 'groups')).values()];
    const { items } = await readWhole(session.readChanges('groups', marker, await session.mark('groups')));
    const changed = objectsOf(items).get(listed?.id ?? '');
    const slices = items.flatMap((item) => (item.kind === 'links' ? [item.targets.length] : []));
    expect(slices).toEqual(size > 1_500 ? [...Array.from({ length: Math.floor(size / 1_500) }, () => 1_500), size % 1_500] : []);
    const found = (await session.readByIds('groups', [listed?.id ?? ''])).get(listed?.id ?? '');
    const byId = found?.kind === 'found' ? objectsOf([found.item, ...(found.more ?? [])]).get(listed?.id ?? '') : undefined;
    for (const read of [listed, changed, byId]) expect(new Set(read?.links.member)).toEqual(users);
  });

  test('of many posixGroups come whole, page by page', async () => {
    await addPerson('ada');
    await addPerson('bob');
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      await client.add(group(name), { objectClass: 'posixGroup', gidNumber: '4711', memberUid: [name < 'c' ? 'ada' : 'bob'] });
    await using session = await openSession(server, { ...choices(), pageSize: 2 });
    const ids = new Map([...(await listing(session, 'users'))].map(([id, { attributes }]) => [attributes.cn, id]));
    const members = [...(await listing(session, 'groups')).values()].map(({ links }) => links.member);
    expect(members).toEqual(['ada', 'ada', 'bob', 'bob', 'bob'].map((name) => [ids.get(name)]));
  });

  test('of groupOfUniqueNames may carry a bit string', async () => {
    await addPerson('ada');
    await client.add(group('unique'), { objectClass: 'groupOfUniqueNames', uniqueMember: `${person('ada')}#'0101'B` });
    await using session = await openSession(server, choices());
    const [ada] = [...(await listing(session, 'users')).keys()];
    expect([...(await listing(session, 'groups')).values()].map(({ links }) => links.member)).toEqual([[ada]]);
  });

  test('who is created after the group that names it becomes a member', async () => {
    await addGroup('early', 'late');
    expect(memberKeys(await expectFollowed(server, choices(), () => addPerson('late')))).toEqual([person('late')]);
  });

  test('who is created under the DN of a deleted member is one, as the directory has it', async () => {
    await addPerson('ada');
    await addGroup('all', 'ada');
    const objects = await expectFollowed(server, choices(), async () => {
      await client.del(person('ada'));
      await addPerson('ada');
    });
    expect(memberKeys(objects)).toEqual([person('ada')]);
  });

  test('whose DN changed is none while the group still names the old one', async () => {
    await addPerson('ada');
    await addPerson('bob', { manager: person('ada') });
    await addGroup('all', 'ada');
    const objects = await expectFollowed(server, choices(), () => client.modifyDN(person('ada'), person('ann')));
    expect(memberKeys(objects)).toEqual([]);
    expect([...objects.values()].find(({ key }) => key === person('bob'))?.links.manager).toEqual([]);
  });
});

describe('a renamed container', () => {
  test('gives all below it their new keys, and those who refer to them another look', async () => {
    await client.add(`ou=deep,ou=people,${base}`, { objectClass: 'organizationalUnit' });
    const inside = (name: string, unit: string): string => `uid=${name},ou=${unit},ou=people,${base}`;
    for (const name of ['ada', 'bob']) await client.add(inside(name, 'deep'), { objectClass: 'inetOrgPerson', cn: name, sn: name });
    await client.add(group('old'), { objectClass: 'groupOfNames', member: inside('ada', 'deep') });
    await client.add(group('all'), { objectClass: 'groupOfNames', member: [inside('ada', 'deep'), inside('bob', 'high')] });
    const once = await expectFollowed(server, choices(), () => client.modifyDN(`ou=deep,ou=people,${base}`, `ou=high,ou=people,${base}`));
    expect(memberKeys(once, 'cn=all')).toEqual([inside('bob', 'high')]);
    expect(memberKeys(once, 'cn=old')).toEqual([]);
    const twice = await expectFollowed(server, choices(), async () => {
      await client.modifyDN(`ou=high,ou=people,${base}`, `ou=low,ou=people,${base}`);
      await client.modifyDN(`ou=low,ou=people,${base}`, `ou=deep,ou=people,${base}`);
    });
    for (const name of ['cn=all', 'cn=old']) expect(memberKeys(twice, name)).toEqual([inside('ada', 'deep')]);
  });

  test('takes all below it out of the base, and back', async () => {
    await client.add(`ou=team,ou=people,${base}`, { objectClass: 'organizationalUnit' });
    await client.add(`uid=ada,ou=team,ou=people,${base}`, { objectClass: 'inetOrgPerson', cn: 'ada', sn: 'ada' });
    const people = { settings: { baseDn: `ou=people,${base}` } };
    const out = await expectFollowed(server, people, () => client.modifyDN(`ou=team,ou=people,${base}`, `ou=team,ou=groups,${base}`));
    expect([...out.values()].map(({ key }) => key)).toEqual([`ou=people,${base}`]);
    const back = await expectFollowed(server, people, () => client.modifyDN(`ou=team,ou=groups,${base}`, `ou=team,ou=people,${base}`));
    expect([...back.values()].map(({ key }) => key)).toContain(`uid=ada,ou=team,ou=people,${base}`);
  });
});

test('renames that the server itself carries on to references (refint) are followed', async () => {
  await using other = await startSlapd({ overlays: [{ name: 'refint', lines: ['refint_attributes member manager'] }] });
  const root = await other.client();
  const dn = (name: string): string => `uid=${name},${other.suffix}`;
  await root.add(dn('ada'), { objectClass: 'inetOrgPerson', cn: 'ada', sn: 'ada' });
  await root.add(dn('bob'), { objectClass: 'inetOrgPerson', cn: 'bob', sn: 'bob', manager: dn('ada') });
  await root.add(`cn=all,${other.suffix}`, { objectClass: 'groupOfNames', member: [dn('ada'), dn('bob')] });
  const objects = await expectFollowed(other, {}, () => root.modifyDN(dn('ada'), dn('ann')));
  expect(memberKeys(objects, 'cn=all')).toEqual([dn('ann'), dn('bob')]);
  await expectFollowed(other, {}, () => root.del(dn('ann')));
  await root.unbind();
});

test('values are given as what the schema says they are', async () => {
  const picture = Buffer.from([0xff, 0xd8, 0xff, 0x00, 0xc3, 0x28]);
  await client.add(person('łucja'), {
    objectClass: ['inetOrgPerson', 'posixAccount'],
    cn: ['Łucja Ωμέγα 🜂', 'Second'],
    sn: 'Ωμέγα',
    uidNumber: '1001',
    gidNumber: '100',
    homeDirectory: '/srv/lucja',
    mail: ['first@corp.example', 'second@corp.example'],
    telephoneNumber: ['+1 555 1', '+1 555 2'],
  });
  const { Attribute, Change } = await import('ldapts');
  await client.modify(
    person('łucja'),
    new Change({ operation: 'add', modification: new Attribute({ type: 'jpegPhoto', values: [picture] }) }),
  );
  await using session = await openSession(server, {
    ...choices(),
    streams: { users: { lists: ['mail'] } },
    attributes: ['CN', 'sn', 'uidNumber', 'mail', 'telephoneNumber', 'jpegPhoto', 'createTimestamp', 'objectClass', 'nsAccountLock'],
  });
  const [user] = [...(await listing(session, 'users')).values()];
  expect(user?.key).toBe(person('łucja'));
  expect(user?.attributes).toEqual({
    CN: 'Łucja Ωμέγα 🜂',
    sn: 'Ωμέγα',
    uidNumber: 1001,
    mail: ['first@corp.example', 'second@corp.example'],
    telephoneNumber: '+1 555 1',
    jpegPhoto: [picture.toString('base64')],
    createTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.000Z$/),
    objectClass: ['inetOrgPerson', 'posixAccount'],
  });
});

test('a deleted entry is told as gone, of whatever stream it was', async () => {
  await addPerson('ada');
  await using session = await openSession(server, choices());
  const [ada = ''] = [...(await listing(session, 'users')).keys()];
  const marker = await session.mark('users');
  await client.del(person('ada'));
  for (const stream of ['users', 'groups', 'containers']) {
    const { items } = await readWhole(session.readChanges(stream, marker, await session.mark(stream)));
    expect(idsOf(items, 'gone')).toContain(ada);
    expect(idsOf(items, 'unmatched')).not.toContain(ada);
  }
});

test('what changes between the reading of two streams in one session is in the next delta', async () => {
  for (const name of ['ada', 'bob']) await addPerson(name);
  await addGroup('all', 'ada');
  await using session = await openSession(server, choices());
  const marker = await session.mark('users');
  const [{ id: bob } = { id: '' }] = [...(await listing(session, 'users')).values()].filter(({ key }) => key === person('bob'));
  await client.modify(person('ada'), replace('title', 'Countess'));
  const upTo = await session.mark('users');
  const read = async (stream: string, since = marker, until = upTo) => (await readWhole(session.readChanges(stream, since, until))).items;
  const keysOf = (items: Parameters<typeof objectsOf>[0]) => [...objectsOf(items).values()].map(({ key }) => key);
  expect(keysOf(await read('users'))).toContain(person('ada'));
  await client.modifyDN(person('ada'), person('ann'));
  await client.del(person('bob'));
  await client.add(group('late'), { objectClass: 'groupOfNames', member: person('ann') });
  await read('groups');
  const next = await session.mark('users');
  const users = await read('users', upTo, next);
  expect(keysOf(users)).toContain(person('ann'));
  expect(idsOf(users, 'gone')).toContain(bob);
  // The group that names her was not touched; its reference means her under her new name alone.
  expect(keysOf(await read('groups', upTo, next)).toSorted()).toEqual([group('all'), group('late')]);
});

test('a delta after nothing changed gives nothing', async () => {
  for (const name of ['ada', 'bob']) await addPerson(name);
  await using session = await openSession(server, choices());
  const marker = await session.mark('users');
  expect((await readWhole(session.readChanges('users', marker, marker))).items).toEqual([]);
});

test('an attribute that is unknown, a secret or changes unseen is refused', async () => {
  const opened = (attribute: string): Promise<unknown> =>
    openSession(server, { ...choices(), attributes: [attribute] }).then((session) => session[Symbol.asyncDispose]());
  for (const attribute of ['noSuchThing', 'userPassword', 'hasSubordinates']) {
    await expect(opened(attribute)).rejects.toMatchObject({ type: 'InvalidConfiguration', details: { remedy: expect.any(String) } });
  }
  await client.modify(base, replace('description', 'used'));
});
