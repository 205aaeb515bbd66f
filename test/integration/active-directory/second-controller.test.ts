import type { Client } from 'ldapts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { add, rdn, replace } from '../../support/directory-edits.ts';
import { type DirectoryProxy, startDirectoryProxy } from '../../support/directory-proxy.ts';
import { startNetwork } from '../../support/network.ts';
import { replicate, type SambaServer, startSamba } from '../../support/samba.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import {
  configure,
  type DirectoryIntegration,
  expectAsReadAnew,
  expectNoDrift,
  heldOf,
  passwordVariable,
  sync,
  syncBecomesComplete,
} from './deltas-oracle.ts';

let first: SambaServer;
let second: SambaServer;
let proxy: DirectoryProxy;
let onFirst: Client;
let tidemark: TestTidemark;
let scope: string;
let settings: DirectoryIntegration;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  const { places } = undo.use(await startNetwork(['first', 'second']));
  first = undo.use(await startSamba({ network: places.first }));
  onFirst = await first.client();
  scope = `OU=Both,${first.baseDn}`;
  await onFirst.add(scope, { objectClass: 'organizationalUnit' });
  for (const name of ['Anna', 'Berta', 'Carla', 'Dora', 'Edda', 'Fara']) await addUser(name);
  await onFirst.add(cn('Team'), {
    objectClass: 'group',
    sAMAccountName: 'team',
    member: ['Anna', 'Berta', 'Carla', 'Dora'].map((name) => cn(name)),
  });
  second = undo.use(await startSamba({ network: places.second, hostName: 'dc2', joins: first }));
  proxy = undo.use(await startDirectoryProxy(first));
  tidemark = undo.use(await startTidemark([activeDirectory]));
  process.env[passwordVariable] = first.adminPassword;
  settings = { dc: first, url: proxy.url, moreUrls: [second.ldapUrl], baseDn: scope };
});
afterAll(async () => {
  await onFirst?.unbind();
  await undo.disposeAsync();
});

const cn = (name: string): string => `${rdn('CN', name)},${scope}`;
function addUser(name: string): Promise<void> {
  return onFirst.add(cn(name), { objectClass: 'user', sAMAccountName: name.toLowerCase(), title: 'Clerk' });
}

async function stopFirst(): Promise<void> {
  await onFirst.unbind();
  await first.stop();
}

async function startFirst(): Promise<void> {
  await first.restart();
  onFirst = await first.client();
}

/** As {@link expectAsReadAnew}, by a read of this very controller. */
const expectAsOn = (dc: SambaServer, kept: string) => expectAsReadAnew(tidemark, kept, { dc, url: dc.ldapUrl, baseDn: scope });

test('when its domain controller is gone a run reads the next one completely, stays with it, and goes back the same way', async () => {
  const kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
  await sync(tidemark, kept, 'complete');
  await onFirst.modify(cn('Anna'), [replace('title', 'Head')]);
  await sync(tidemark, kept, 'delta');

  await replicate(second, first);
  await stopFirst();
  const { streams } = await syncBecomesComplete(
    tidemark,
    kept,
    /The marker was taken on dc1\.corp\.example, and positions of dc2\.corp\.example can not be compared/,
  );
  // Both have the same: the ids are the domain's, not the controller's.
  const nothing = { created: 0, updated: 0, deleted: 0, restored: 0, held: 0 };
  expect(streams).toMatchObject({ users: nothing, groups: nothing, containers: nothing });
  await expectAsOn(second, kept);

  await startFirst();
  await onFirst.modify(cn('Anna'), [replace('title', 'Chief')]);
  await onFirst.del(cn('Edda'));
  await onFirst.modify(cn('Team'), [add('member', cn('Fara'))]);
  // The marker is the second one's, so it is preferred as long as it answers, whatever the order of the addresses; it lags behind.
  await sync(tidemark, kept, 'delta');
  await expectAsOn(second, kept);
  await replicate(second, first);
  const { streams: replicated } = await sync(tidemark, kept, 'delta');
  expect(replicated).toMatchObject({ users: { updated: 1, deleted: 1 } });
  await expectAsOn(first, kept);

  await second.stop();
  await syncBecomesComplete(
    tidemark,
    kept,
    /The marker was taken on dc2\.corp\.example, and positions of dc1\.corp\.example can not be compared/,
  );
  await expectAsOn(first, kept);
  await second.restart();
  await sync(tidemark, kept, 'delta');
  await expectNoDrift(tidemark, kept);
});

test('a domain controller that goes in the middle of a run: the run begins again with the next one', async () => {
  const kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
  let before = proxy.searches();
  await sync(tidemark, kept, 'complete');
  const searches = proxy.searches() - before;
  await onFirst.modify(cn('Berta'), [replace('title', 'Head')]);
  await replicate(second, first);
  before = proxy.searches();
  let gone: Promise<void> | undefined;
  proxy.beforeSearch = async (number) => {
    if (number < before + searches * 0.7) return;
    gone ??= stopFirst();
    await gone;
  };
  try {
    const { outcome, run } = await tidemark.sync({ integration: kept, mode: 'complete' });
    expect({ outcome, updated: run?.streams.users?.updated, deleted: run?.streams.users?.deleted }).toEqual({
      outcome: 'succeeded',
      updated: 1,
      deleted: 0,
    });
  } finally {
    proxy.beforeSearch = undefined;
  }
  expect(gone).toBeDefined();
  await expectAsOn(second, kept);
  await sync(tidemark, kept, 'delta');
  await startFirst();
  await expectAsOn(first, kept);
});

test('what the next domain controller does not know yet is held, and let go when it has been replicated', async () => {
  const kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
  await replicate(second, first);
  await addUser('Nora');
  await onFirst.modify(cn('Team'), [add('member', cn('Nora'))]);
  await sync(tidemark, kept, 'complete');
  const withNora = await objectsOf(tidemark.store, kept);
  await stopFirst();
  const { streams } = await syncBecomesComplete(tidemark, kept, /positions of dc2\.corp\.example can not be compared/);
  expect(streams).toMatchObject({ users: { deleted: 0, held: 1 } });
  expect(await heldOf(tidemark, kept)).toEqual({ [cn('Nora')]: expect.stringMatching(/^unknown: .*no trace/) });
  expect((await objectsOf(tidemark.store, kept)).map(({ key }) => key)).toEqual(withNora.map(({ key }) => key));
  await startFirst();
  await replicate(second, first);
  await sync(tidemark, kept, 'delta');
  expect(await heldOf(tidemark, kept)).toEqual({});
  expect(await objectsOf(tidemark.store, kept)).toEqual(withNora);
  await expectAsOn(first, kept);
});
