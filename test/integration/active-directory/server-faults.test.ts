import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Client } from 'ldapts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { add, idsAt, rdn, remove, replace } from '../../support/directory-edits.ts';
import { type DirectoryProxy, startDirectoryProxy } from '../../support/directory-proxy.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { createAccount, hideContents, setDeletionRights, type TestAccount } from '../../support/samba-accounts.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import {
  ageMarkers,
  configure,
  type DirectoryIntegration,
  expectAsReadAnew,
  heldOf,
  passwordVariable,
  sync,
  syncBecomesComplete,
  syncFails,
} from './deltas-oracle.ts';
import { idsOf, listing, openSession, readWhole } from './support.ts';

const run = promisify(execFile);

let dc: SambaServer;
let client: Client;
let proxy: DirectoryProxy;
let account: TestAccount;
let tidemark: TestTidemark;
let top: string;
let scope: string;
let settings: DirectoryIntegration;
let kept: string;
let number = 0;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  dc = undo.use(await startSamba());
  proxy = undo.use(await startDirectoryProxy(dc));
  tidemark = undo.use(await startTidemark([activeDirectory]));
  process.env[passwordVariable] = dc.adminPassword;
  account = await createAccount(dc, 'svc-tidemark', { seesDeletions: true });
  client = await dc.client();
  undo.defer(() => client.unbind());
});
afterAll(() => undo.disposeAsync());

const cn = (name: string, parent = scope): string => `${rdn('CN', name)},${parent}`;
const sales = (): string => `OU=Sales,${scope}`;
const addUser = (name: string, parent = scope, more: Readonly<Record<string, string>> = {}): Promise<void> =>
  client.add(cn(name, parent), { objectClass: 'user', sAMAccountName: `t${number}-${name}`, ...more });

/** Every test has an OU of its own with eight people, four of them in an OU below it, and two groups of most of them, one of which is somebody's primary group; all read once. */
beforeEach(async () => {
  number += 1;
  top = `OU=Test ${number},${dc.baseDn}`;
  scope = `OU=In,${top}`;
  for (const dn of [top, scope, sales()]) await client.add(dn, { objectClass: 'organizationalUnit' });
  await addUser('Boss', sales());
  for (const name of ['Anna', 'Berta', 'Carla']) await addUser(name, sales(), { manager: cn('Boss', sales()) });
  for (const name of ['Dora', 'Edda', 'Fara', 'Gina']) await addUser(name, scope, { manager: cn('Boss', sales()) });
  const member = [...['Anna', 'Berta', 'Boss', 'Carla'].map((name) => cn(name, sales())), ...['Dora', 'Edda'].map((name) => cn(name))];
  await client.add(cn('All'), { objectClass: 'group', sAMAccountName: `t${number}-all`, member, managedBy: cn('Boss', sales()) });
  await client.add(cn('Sellers', sales()), { objectClass: 'group', sAMAccountName: `t${number}-sellers`, member: [cn('All'), ...member] });
  await client.modify(cn('Dora'), [replace('primaryGroupID', (await idsAt(client, cn('Sellers', sales()))).relativeId ?? '')]);
  settings = { dc, url: proxy.url, baseDn: scope, account };
  kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
  await sync(tidemark, kept, 'complete');
});

const stored = () => objectsOf(tidemark.store, kept);
const deletionsOf = (streams: Readonly<Record<string, { readonly deleted: number; readonly deactivated: number }>> | undefined): number =>
  Object.values(streams ?? {}).reduce((sum, { deleted, deactivated }) => sum + deleted + deactivated, 0);

/** After whatever happened a complete read puts everything right, and holds nothing. */
async function expectHealed(): Promise<void> {
  await sync(tidemark, kept, 'complete');
  expect(await heldOf(tidemark, kept)).toEqual({});
  await expectAsReadAnew(tidemark, kept, settings);
}

/** Runs a sync in the middle of which something happens: before its search number `at`. Whether it came to that. */
async function duringSearch<T>(
  at: number,
  event: () => Promise<unknown>,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly happened: boolean }> {
  const before = proxy.searches();
  let happened = false;
  proxy.beforeSearch = async (search) => {
    if (search < before + at || happened) return;
    happened = true;
    await event();
  };
  try {
    return { result: await work(), happened };
  } finally {
    proxy.beforeSearch = undefined;
  }
}

async function searchesOf(work: () => Promise<unknown>): Promise<number> {
  const before = proxy.searches();
  await work();
  return proxy.searches() - before;
}

const atFractions = (count: number, fractions: readonly number[]): readonly number[] => [
  ...new Set(fractions.map((fraction) => Math.max(1, Math.round(count * fraction)))),
];

describe('objects that the account may no longer see', () => {
  afterAll(() => {
    proxy.beforeSearch = undefined;
  });

  test('are held, not deleted, by a complete read, and let go when they can be seen again', async () => {
    const before = await stored();
    await hideContents(dc, account, sales(), true);
    const hidden = await tidemark.sync({ integration: kept, mode: 'complete' });
    expect(hidden).toMatchObject({
      outcome: 'succeeded',
      run: { links: { removed: 0 }, streams: { users: { held: 4 }, groups: { held: 1 } } },
    });
    expect(deletionsOf(hidden.run?.streams)).toBe(0);
    expect(await stored()).toEqual(before);
    const held = await heldOf(tidemark, kept);
    expect(Object.keys(held)).toEqual(['Anna', 'Berta', 'Boss', 'Carla', 'Sellers'].map((name) => cn(name, sales())));
    expect(new Set(Object.values(held))).toEqual(new Set([expect.stringMatching(/^unknown: .*hidden from the account/)]));
    await sync(tidemark, kept, 'delta');
    expect(await stored()).toEqual(before);
    await hideContents(dc, account, sales(), false);
    await expectHealed();
    expect(await stored()).toEqual(before);
  });

  test('come with the first delta after they can be seen again, with all that changed meanwhile', async () => {
    await hideContents(dc, account, sales(), true);
    await client.modify(cn('Anna', sales()), [replace('title', 'Head')]);
    await addUser('Nora', sales(), { manager: cn('Anna', sales()) });
    await client.modify(cn('Sellers', sales()), [remove('member', cn('Edda')), add('member', cn('Gina'))]);
    await client.del(cn('Carla', sales()));
    await sync(tidemark, kept, 'delta');
    await hideContents(dc, account, sales(), false);
    await sync(tidemark, kept, 'delta');
    await expectAsReadAnew(tidemark, kept, settings);
  });

  test('in the middle of a complete read are held, not deleted', async () => {
    const searches = await searchesOf(() => sync(tidemark, kept, 'complete'));
    const before = await stored();
    for (const at of atFractions(searches, [0.55, 0.8])) {
      const { result, happened } = await duringSearch(
        at,
        () => hideContents(dc, account, sales(), true),
        () => tidemark.sync({ integration: kept, mode: 'complete' }),
      );
      expect({ happened, outcome: result.outcome, deletions: deletionsOf(result.run?.streams) }).toEqual({
        happened: true,
        outcome: 'succeeded',
        deletions: 0,
      });
      expect(result.run?.links.removed).toBe(0);
      expect(await stored()).toEqual(before);
      await hideContents(dc, account, sales(), false);
      await expectHealed();
    }
  });

  test('in the middle of a delta are held, not deleted, and come with the next one', async () => {
    let round = 0;
    const change = async () => {
      round += 1;
      for (const name of ['Anna', 'Berta', 'Boss', 'Carla']) await client.modify(cn(name, sales()), [replace('title', `Round ${round}`)]);
      for (const dn of [cn('Sellers', sales()), cn('All')]) await client.modify(dn, [replace('description', `Round ${round}`)]);
    };
    await change();
    const searches = await searchesOf(() => sync(tidemark, kept, 'delta'));
    for (const at of atFractions(searches, [0.55, 0.8])) {
      await change();
      const ids = (await stored()).map(({ sourceId }) => sourceId);
      const { result, happened } = await duringSearch(
        at,
        () => hideContents(dc, account, sales(), true),
        () => tidemark.sync({ integration: kept, mode: 'delta' }),
      );
      expect({ happened, outcome: result.outcome, deletions: deletionsOf(result.run?.streams) }).toEqual({
        happened: true,
        outcome: 'succeeded',
        deletions: 0,
      });
      expect(result.run?.links.removed).toBe(0);
      expect((await stored()).map(({ sourceId }) => sourceId)).toEqual(ids);
      await hideContents(dc, account, sales(), false);
      await sync(tidemark, kept, 'delta');
      expect(await heldOf(tidemark, kept)).toEqual({});
      await expectAsReadAnew(tidemark, kept, settings);
    }
  });

  test('from any moment of reading a long list of members on leave it unknown, never cut short', async () => {
    await using session = await openSession(dc, {
      settings: { urls: [proxy.url], allowPlaintext: true, caFile: undefined, baseDn: scope, bindDn: account.dn, memberRange: 2 },
      password: account.password,
    });
    const upTo = await session.mark('groups');
    const listed = () => listing(session, 'groups', upTo);
    const { guid } = await idsAt(client, cn('Sellers', sales()));
    const whole = (await listed()).get(guid)?.links.member?.length;
    expect(whole).toBeGreaterThan(4);
    const searches = await searchesOf(listed);
    const seen = new Set<number | string>();
    for (let at = 1; at <= searches; at += 1) {
      const { result } = await duringSearch(
        at,
        () => hideContents(dc, account, sales(), true),
        () => listed(),
      );
      const group = result.get(guid);
      seen.add(group === undefined ? 'no group' : (group.links.member?.length ?? 'unknown'));
      await hideContents(dc, account, sales(), false);
    }
    expect(seen).toEqual(new Set(['no group', 'unknown', whole]));
  });

  test('are nothing to go by if they are all: a base out of sight fails the run', async () => {
    await hideContents(dc, account, top, true);
    for (const mode of ['delta', 'complete'] as const) {
      await syncFails(tidemark, kept, mode, {
        type: 'InvalidConfiguration',
        message: /OU=In.* does not exist, or the account may not see it/,
      });
    }
    await hideContents(dc, account, top, false);
    await sync(tidemark, kept, 'delta');
    await expectHealed();
  });
});

describe('Deleted Objects out of sight', () => {
  afterEach(() => setDeletionRights(dc, account, true));

  test('fails every run until it is back, and the deletion of that time is then found', async () => {
    await setDeletionRights(dc, account, false);
    await client.del(cn('Anna', sales()));
    for (const mode of ['delta', 'complete'] as const)
      await syncFails(tidemark, kept, mode, { type: 'RightsMissing', message: /may not see deleted objects.*dsacls/ });
    await setDeletionRights(dc, account, true);
    const { streams } = await sync(tidemark, kept, 'delta');
    expect(streams).toMatchObject({ users: { deleted: 1 }, groups: { deleted: 0 } });
    await expectAsReadAnew(tidemark, kept, settings);
  });

  test('from any moment of a delta on fails it, or all deletions had been seen', async () => {
    const { guid } = await idsAt(client, cn('Anna', sales()));
    await using session = await openSession(dc, {
      settings: { urls: [proxy.url], allowPlaintext: true, caFile: undefined, baseDn: scope, bindDn: account.dn },
      password: account.password,
    });
    const since = await session.mark('users');
    await client.del(cn('Anna', sales()));
    await client.modify(cn('Dora'), [replace('title', 'Head')]);
    const read = () => readWhole(session.readChanges('users', since, since));
    // Primary groups are looked up once in a session.
    await read();
    const searches = await searchesOf(read);
    const endings: string[] = [];
    for (let at = 1; at <= searches; at += 1) {
      const { result, happened } = await duringSearch(
        at,
        () => setDeletionRights(dc, account, false),
        () =>
          read().then(
            ({ items }) => (idsOf(items, 'gone').includes(guid) ? 'seen' : 'missed'),
            (error: { readonly type?: string }) => error.type ?? String(error),
          ),
      );
      expect(happened).toBe(true);
      endings.push(result);
      await setDeletionRights(dc, account, true);
    }
    expect(new Set(endings)).toEqual(new Set(['RightsMissing']));
    expect(searches).toBeGreaterThan(3);
  });

  test('in the middle of a complete run fails it or, once all is listed, holds whom it misses; nothing is lost', async () => {
    const searches = await searchesOf(() => sync(tidemark, kept, 'complete'));
    await client.del(cn('Anna', sales()));
    const ids = async () => (await stored()).map(({ sourceId }) => sourceId);
    const before = await ids();
    const endings: (string | undefined)[] = [];
    for (const at of atFractions(searches, [0.2, 0.4, 0.6, 0.7, 0.8, 0.95])) {
      const { result, happened } = await duringSearch(
        at,
        () => setDeletionRights(dc, account, false),
        () => tidemark.sync({ integration: kept, mode: 'complete' }),
      );
      expect(happened).toBe(true);
      expect(await ids()).toEqual(before);
      endings.push(result.outcome === 'failed' ? result.failure?.type : `${result.run?.streams.users?.held} held`);
      await setDeletionRights(dc, account, true);
    }
    expect(new Set(endings)).toEqual(new Set(['RightsMissing', '1 held']));
    await expectHealed();
    expect(await ids()).toHaveLength(before.length - 1);
  });
});

describe('a marker older than the tombstone lifetime', () => {
  const serviceDn = () => `CN=Directory Service,CN=Windows NT,CN=Services,CN=Configuration,${dc.baseDn}`;

  test('leads to a complete read that says so; who was deleted and forgotten meanwhile is held', async () => {
    await client.del(cn('Anna', sales()));
    // The directory forgets what was deleted up to now.
    await run('samba-tool', [
      'domain',
      'tombstones',
      'expunge',
      `--configfile=${dc.directory}/dc/etc/smb.conf`,
      `--URL=${dc.directory}/dc/private/sam.ldb`,
      `--current-time=${new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10)}`,
      '--tombstone-lifetime=1',
    ]);
    await client.del(cn('Dora'));
    await ageMarkers(tidemark, kept, '200 days');
    const { streams } = await syncBecomesComplete(tidemark, kept, /the directory forgets deletions after 180 days \(tombstone lifetime\)/);
    expect(streams).toMatchObject({ users: { deleted: 1, held: 1 } });
    expect(await heldOf(tidemark, kept)).toEqual({
      [cn('Anna', sales())]: expect.stringMatching(/^unknown: .*deleted longer ago than the directory remembers/),
    });
    // The complete read has taken a new marker.
    await sync(tidemark, kept, 'delta');
  });

  test('is told by the lifetime that the directory has at the time', async () => {
    await ageMarkers(tidemark, kept, '4 days');
    await sync(tidemark, kept, 'delta');
    await ageMarkers(tidemark, kept, '4 days');
    await client.modify(serviceDn(), [replace('tombstoneLifetime', '3')]);
    try {
      await syncBecomesComplete(tidemark, kept, /the directory forgets deletions after 3 days/);
      await sync(tidemark, kept, 'delta');
      await expectAsReadAnew(tidemark, kept, settings);
    } finally {
      await client.modify(serviceDn(), [replace('tombstoneLifetime', '180')]);
    }
  });
});

describe('a limit of the domain controller', () => {
  const limits = { 'time limit': 3, 'size limit': 4, 'administrative limit': 11 } as const;

  test.each([
    ['time limit', 'delta'],
    ['size limit', 'complete'],
    ['administrative limit', 'complete'],
  ] as const)('that long searches reach (%s) fails a %s sync; nothing is deleted', async (limit, mode) => {
    await client.del(cn('Anna', sales()));
    for (const user of ['Dora', 'Edda', 'Fara', 'Gina']) await client.modify(cn(user), [replace('title', 'Head')]);
    const code = limits[limit];
    // Entries first and then the limit: what a domain controller sends that was stopped on its way.
    proxy.endSearch = (_, entries) => (entries > 3 ? code : undefined);
    try {
      await syncFails(tidemark, kept, mode, {
        type: 'ListingIncomplete',
        message: new RegExp(`result code ${code}: a limit .* was exceeded.* Raise`),
      });
    } finally {
      proxy.endSearch = undefined;
    }
    await sync(tidemark, kept, 'delta');
    await expectAsReadAnew(tidemark, kept, settings);
  });

  test('that one search reaches, whichever it is, never makes a short listing a whole one', async () => {
    await using session = await openSession(dc, {
      settings: { urls: [proxy.url], allowPlaintext: true, caFile: undefined, baseDn: scope, memberRange: 3 },
      pageSize: 3,
    });
    const since = await session.mark('groups');
    await client.modify(cn('All'), [replace('description', 'changed')]);
    const reads = {
      users: () => readWhole(session.readAll('users', since)),
      groups: () => readWhole(session.readAll('groups', since)),
      changes: () => readWhole(session.readChanges('groups', since, since)),
    };
    for (const read of Object.values(reads)) {
      // Primary groups are looked up once in a session.
      await read();
      const searches = await searchesOf(read);
      expect(searches).toBeGreaterThan(3);
      for (let at = 1; at <= searches; at += 1) {
        const start = proxy.searches();
        proxy.endSearch = (search) => (search === start + at ? limits['size limit'] : undefined);
        await expect(read()).rejects.toMatchObject({ type: 'ListingIncomplete', details: { remedy: expect.stringContaining('limit') } });
      }
      proxy.endSearch = undefined;
    }
  });

  test('that is reached once is no trouble: the step is tried again', async () => {
    const searches = await searchesOf(() => sync(tidemark, kept, 'complete'));
    await client.del(cn('Anna', sales()));
    const start = proxy.searches();
    proxy.endSearch = (search) => (search === start + Math.round(searches * 0.6) ? limits['time limit'] : undefined);
    try {
      const { streams } = await sync(tidemark, kept, 'complete');
      expect(streams).toMatchObject({ users: { deleted: 1 } });
    } finally {
      proxy.endSearch = undefined;
    }
    await expectAsReadAnew(tidemark, kept, settings);
  });
});
