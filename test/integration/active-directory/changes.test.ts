import type { Client } from 'ldapts';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Session } from '../../../connectors/connector.ts';
import type { Marker } from '../../../model/marker.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import {
  add,
  applyDelta,
  idsOf,
  listing,
  objectsOf,
  openSession,
  type ReadObject,
  readWhole,
  remove,
  replace,
  sorted,
  undelete,
} from './support.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 });

const streams = ['users', 'groups', 'containers'] as const;

let dc: SambaServer;
let client: Client;
let scope: string;
let number = 0;

beforeAll(async () => {
  dc = await startSamba();
  client = await dc.client();
});
afterAll(async () => {
  await client?.unbind();
  await dc?.[Symbol.asyncDispose]();
});

/** Every test works in an OU of its own, `In` of it being the base of all streams and `Out` another place of the domain. */
beforeEach(async () => {
  number += 1;
  const top = `OU=Test ${number},${dc.baseDn}`;
  scope = `OU=In,${top}`;
  for (const dn of [top, scope, `OU=Out,${top}`]) await client.add(dn, { objectClass: 'organizationalUnit' });
});

const outside = (): string => scope.replace('OU=In', 'OU=Out');
const user = (name: string, parent = scope): string => `CN=${name},${parent}`;
const account = (name: string): string => `t${number}-${name}`.slice(0, 20);
const addUser = (name: string, parent = scope, more: Record<string, string> = {}): Promise<void> =>
  client.add(user(name, parent), { objectClass: 'user', sAMAccountName: account(name), ...more });
const addGroup = (name: string, members: string[] = [], parent = scope): Promise<void> =>
  client.add(user(name, parent), {
    objectClass: 'group',
    sAMAccountName: account(name),
    ...(members.length > 0 ? { member: members } : {}),
  });
const addUnit = (name: string, parent = scope): Promise<void> => client.add(`OU=${name},${parent}`, { objectClass: 'organizationalUnit' });

const open = (settings: Readonly<Record<string, unknown>> = {}): Promise<Session> =>
  openSession(dc, {
    settings: { baseDn: scope, ...settings },
    attributes: ['cn', 'description', 'distinguishedName', 'objectClass'],
    pageSize: 3,
  });

function idOf(objects: ReadonlyMap<string, ReadObject>, dn: string): string {
  const found = [...objects.values()].find(({ key }) => key === dn);
  if (found === undefined) throw new Error(`Nothing with the DN ${dn} was read`);
  return found.id;
}

interface Before {
  readonly session: Session;
  readonly marker: Marker;
  readonly states: ReadonlyMap<string, ReadonlyMap<string, ReadObject>>;
}

async function readBefore(session: Session): Promise<Before> {
  const marker = await session.mark('users');
  const states = new Map<string, ReadonlyMap<string, ReadObject>>();
  for (const stream of streams) states.set(stream, await listing(session, stream));
  return { session, marker, states };
}

/** The oracle: what a delta leaves equals what a fresh complete read gives, in every stream. */
async function expectDeltaEqualsListing({ session, marker, states }: Before): Promise<void> {
  const gone = new Set<string>();
  for (const stream of streams) {
    const { items } = await readWhole(session.readChanges(stream, marker, marker));
    for (const id of idsOf(items, 'gone')) gone.add(id);
  }
  for (const stream of streams) {
    const after = await applyDelta(session, stream, states.get(stream) ?? new Map(), marker, gone);
    expect(sorted(after), stream).toEqual(sorted(await listing(session, stream)));
  }
}

describe('a delta leaves what a fresh complete read gives', () => {
  const changes: readonly { readonly what: string; readonly before: () => Promise<void>; readonly change: () => Promise<void> }[] = [
    { what: 'nothing happened', before: () => addUser('Anna'), change: async () => undefined },
    { what: 'somebody is hired', before: () => addUser('Anna'), change: () => addUser('Berta', scope, { manager: user('Anna') }) },
    {
      what: 'an attribute changes',
      before: () => addUser('Anna'),
      change: () => client.modify(user('Anna'), replace('description', 'Grüße, 你好')),
    },
    {
      what: 'an attribute is cleared',
      before: () => addUser('Anna', scope, { description: 'x' }),
      change: () => client.modify(user('Anna'), remove('description')),
    },
    {
      what: 'an account is disabled',
      before: () => addUser('Anna'),
      change: () => client.modify(user('Anna'), replace('userAccountControl', '546')),
    },
    { what: 'somebody is renamed', before: () => addUser('Anna'), change: () => client.modifyDN(user('Anna'), user('Anne')) },
    {
      what: 'somebody moves inside the base',
      before: async () => {
        await addUser('Anna');
        await addUnit('A');
      },
      change: () => client.modifyDN(user('Anna'), user('Anna', `OU=A,${scope}`)),
    },
    {
      what: 'somebody moves out of the base',
      before: () => addUser('Anna'),
      change: () => client.modifyDN(user('Anna'), user('Anna', outside())),
    },
    {
      what: 'somebody moves into the base',
      before: () => addUser('Anna', outside()),
      change: () => client.modifyDN(user('Anna', outside()), user('Anna')),
    },
    {
      what: 'an OU is renamed',
      before: async () => {
        await addUnit('A');
        await addUnit('B', `OU=A,${scope}`);
        for (const name of ['Anna', 'Berta', 'Carla', 'Doris']) await addUser(name, `OU=B,OU=A,${scope}`);
        await addGroup('Team', [user('Anna', `OU=B,OU=A,${scope}`)], `OU=A,${scope}`);
      },
      change: () => client.modifyDN(`OU=A,${scope}`, `OU=Z,${scope}`),
    },
    {
      what: 'a nested OU moves out of the base',
      before: async () => {
        await addUnit('A');
        await addUnit('B', `OU=A,${scope}`);
        for (const name of ['Anna', 'Berta', 'Carla', 'Doris']) await addUser(name, `OU=B,OU=A,${scope}`);
      },
      change: () => client.modifyDN(`OU=B,OU=A,${scope}`, `OU=B,${outside()}`),
    },
    {
      what: 'an OU moves into the base',
      before: async () => {
        await addUnit('A', outside());
        await addUser('Anna', `OU=A,${outside()}`);
        await addGroup('Team', [], `OU=A,${outside()}`);
      },
      change: () => client.modifyDN(`OU=A,${outside()}`, `OU=A,${scope}`),
    },
    {
      what: 'an OU moves and is renamed, and one below it is renamed',
      before: async () => {
        await addUnit('A');
        await addUnit('B', `OU=A,${scope}`);
        await addUser('Anna', `OU=B,OU=A,${scope}`);
        await addUnit('C');
      },
      change: async () => {
        await client.modifyDN(`OU=B,OU=A,${scope}`, `OU=B2,OU=A,${scope}`);
        await client.modifyDN(`OU=A,${scope}`, `OU=A2,OU=C,${scope}`);
      },
    },
    { what: 'somebody is deleted', before: () => addUser('Anna'), change: () => client.del(user('Anna')) },
    {
      what: 'somebody is deleted and another takes the name',
      before: () => addUser('Anna'),
      change: async () => {
        await client.del(user('Anna'));
        await addUser('Anna');
      },
    },
    {
      what: 'a member is added to a group and another removed',
      before: async () => {
        await addUser('Anna');
        await addUser('Berta');
        await addGroup('Team', [user('Anna')]);
      },
      change: () => client.modify(user('Team'), [add('member', user('Berta')), remove('member', user('Anna'))]),
    },
    {
      what: 'a member of a group is deleted',
      before: async () => {
        await addUser('Anna');
        await addUser('Berta');
        await addGroup('Team', [user('Anna'), user('Berta')]);
      },
      change: () => client.del(user('Anna')),
    },
    {
      what: 'a manager is deleted',
      before: async () => {
        await addUser('Anna');
        await addUser('Berta', scope, { manager: user('Anna') });
      },
      change: () => client.del(user('Anna')),
    },
    {
      what: 'a group and everything in an OU are deleted',
      before: async () => {
        await addUnit('A');
        await addUser('Anna', `OU=A,${scope}`);
        await addGroup('Team', [user('Anna', `OU=A,${scope}`)]);
      },
      change: async () => {
        await client.del(user('Team'));
        await client.del(user('Anna', `OU=A,${scope}`));
        await client.del(`OU=A,${scope}`);
      },
    },
  ];

  test.each(changes)('when $what', async ({ before, change }) => {
    await before();
    await using session = await open();
    const known = await readBefore(session);
    await change();
    await expectDeltaEqualsListing(known);
  });

  test('when a member is deleted and restored, which drops it from its groups', async () => {
    await addUser('Anna');
    await addUser('Berta');
    await addGroup('Team', [user('Anna'), user('Berta')]);
    await using session = await open();
    const known = await readBefore(session);
    const anna = idOf(known.states.get('users') ?? new Map(), user('Anna'));
    await client.del(user('Anna'));
    await undelete(client, dc.baseDn, anna, user('Anna'));
    await client.modify(user('Anna'), replace('sAMAccountName', account('Anna')));
    await expectDeltaEqualsListing(known);
    const { items } = await readWhole(session.readChanges('users', known.marker, known.marker));
    const places = items.flatMap((item, index) => ('id' in item && item.id === anna ? [[item.kind, index] as const] : []));
    expect(places.map(([kind]) => kind)).toEqual(['gone', 'object']);
  });

  test('when a member is deleted and restored outside the base', async () => {
    await addUser('Anna');
    await addGroup('Team', [user('Anna')]);
    await using session = await open();
    const known = await readBefore(session);
    const anna = idOf(known.states.get('users') ?? new Map(), user('Anna'));
    await client.del(user('Anna'));
    await undelete(client, dc.baseDn, anna, user('Anna', outside()));
    await expectDeltaEqualsListing(known);
  });

  test('when deltas go by whenChanged', async () => {
    await addUser('Anna');
    await addUnit('A');
    await addUser('Berta', `OU=A,${scope}`);
    await using session = await open({ marker: 'whenChanged' });
    const known = await readBefore(session);
    expect(known.marker.kind).toBe('whenChanged');
    await client.modifyDN(`OU=A,${scope}`, `OU=B,${scope}`);
    await client.modify(user('Anna'), replace('description', 'new'));
    await expectDeltaEqualsListing(known);
  });
});

test('an empty delta gives nothing', async () => {
  await addUser('Anna');
  await using session = await open();
  const marker = await session.mark('users');
  for (const stream of streams) expect((await readWhole(session.readChanges(stream, marker, marker))).pages).toEqual([]);
});

test('tombstones come before objects, and ids without a match last', async () => {
  await addUser('Anna');
  await addUser('Berta');
  await addUser('Carla');
  await using session = await open();
  const marker = await session.mark('users');
  const known = await listing(session, 'users');
  await client.modifyDN(user('Carla'), user('Carla', outside()));
  await client.modify(user('Berta'), replace('description', 'x'));
  await client.del(user('Anna'));
  const { items, end } = await readWhole(session.readChanges('users', marker, marker));
  expect(items.map(({ kind }) => kind)).toEqual(['gone', 'object', 'unmatched']);
  expect(idsOf(items, 'gone')).toEqual([idOf(known, user('Anna'))]);
  expect([...objectsOf(items).keys()]).toEqual([idOf(known, user('Berta'))]);
  expect(idsOf(items, 'unmatched')).toEqual([idOf(known, user('Carla'))]);
  expect(end).toEqual({ covers: 'changes' });
});

test('who stops matching a filter is named, and found alive but out of scope', async () => {
  await addUser('Anna', scope, { department: 'Sales' });
  await using session = await openSession(dc, {
    settings: { baseDn: scope },
    streams: { users: { filter: '(&(objectClass=user)(department=Sales))' } },
  });
  const marker = await session.mark('users');
  const anna = idOf(await listing(session, 'users'), user('Anna'));
  await client.modify(user('Anna'), replace('department', 'Legal'));
  const { items } = await readWhole(session.readChanges('users', marker, marker));
  expect(items).toEqual([{ kind: 'unmatched', ids: [anna] }]);
  expect((await session.readByIds('users', [anna])).get(anna)).toEqual({ kind: 'out-of-scope' });
});

test('reading by ids tells found, out of scope, gone and unknown apart', async () => {
  for (const name of ['Here', 'There', 'Gone']) await addUser(name);
  await addGroup('Team');
  await using session = await open();
  const users = await listing(session, 'users');
  const [here, there, gone] = ['Here', 'There', 'Gone'].map((name) => idOf(users, user(name)));
  const team = idOf(await listing(session, 'groups'), user('Team'));
  await client.modifyDN(user('There'), user('There', outside()));
  await client.del(user('Gone'));
  const never = '00000000-1111-2222-3333-444444444444';
  const verdicts = await session.readByIds('users', [here ?? '', there ?? '', gone ?? '', team, never, 'nonsense']);
  expect(Object.fromEntries([...verdicts].map(([id, { kind }]) => [id, kind]))).toEqual({
    [here ?? '']: 'found',
    [there ?? '']: 'out-of-scope',
    [gone ?? '']: 'gone',
    [team]: 'out-of-scope',
    [never]: 'unknown',
    nonsense: 'unknown',
  });
  expect(verdicts.get(here ?? '')).toMatchObject({ item: { key: user('Here'), links: { manager: [] } } });
});
