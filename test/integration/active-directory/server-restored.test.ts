import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from 'ldapts';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { add, rdn, replace } from '../../support/directory-edits.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
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
} from './deltas-oracle.ts';

const run = promisify(execFile);

let dc: SambaServer;
let client: Client;
let tidemark: TestTidemark;
let scope: string;
let settings: DirectoryIntegration;
let kept: string;
let number = 0;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  dc = undo.use(await startSamba());
  tidemark = undo.use(await startTidemark([activeDirectory]));
  process.env[passwordVariable] = dc.adminPassword;
  client = await dc.client();
  undo.defer(() => client.unbind());
});
afterAll(() => undo.disposeAsync());

const cn = (name: string, parent = scope): string => `${rdn('CN', name)},${parent}`;
const addUser = (name: string, more: Readonly<Record<string, string>> = {}): Promise<void> =>
  client.add(cn(name), { objectClass: 'user', sAMAccountName: `t${number}-${name}`, ...more });

/** Every test has an OU of its own with a few people and a group, read once; the backup is taken before the read. */
beforeEach(async () => {
  number += 1;
  scope = `OU=Test ${number},${dc.baseDn}`;
  await client.add(scope, { objectClass: 'organizationalUnit' });
  for (const name of ['Anna', 'Berta', 'Carla']) await addUser(name, { title: 'Clerk' });
  await client.add(cn('Team'), { objectClass: 'group', sAMAccountName: `t${number}-team`, member: [cn('Anna'), cn('Berta')] });
  settings = { dc, url: dc.ldapUrl, baseDn: scope };
  kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
});

/** Does something to the stopped server's files, and starts it again. */
async function whileStopped(work: () => Promise<unknown>): Promise<void> {
  await client.unbind();
  await dc.stop();
  await work();
  await dc.restart();
  client = await dc.client();
}

const privateFiles = (): string => join(dc.directory, 'dc', 'private');
const copyFiles = (from: string, to: string) => run('cp', ['--archive', from, to]);

/** Copies the database of the stopped server, and says where to. */
async function backUp(): Promise<string> {
  const backup = join(await mkdtemp(join(dc.directory, 'backup-')), 'private');
  await whileStopped(() => copyFiles(privateFiles(), backup));
  return backup;
}

async function putBack(backup: string, then: () => Promise<unknown> = async () => undefined): Promise<void> {
  await whileStopped(async () => {
    await run('rm', ['--recursive', privateFiles()]);
    await copyFiles(backup, privateFiles());
    await then();
  });
}

/** What Windows does when its database is restored by the means meant for it so that positions of before and after are told apart. */
function changeInvocationId(): Promise<unknown> {
  return run('/usr/bin/python3', ['-c', invocationScript, join(dc.directory, 'dc', 'etc', 'smb.conf'), randomUUID()]);
}

const invocationScript = `
import sys
from samba.auth import system_session
from samba.dcerpc import misc
from samba.ndr import ndr_pack
from samba.param import LoadParm
from samba.samdb import SamDB
import ldb
configuration, id = sys.argv[1:]
lp = LoadParm()
lp.load(configuration)
samdb = SamDB(lp=lp, session_info=system_session(lp))
message = ldb.Message(ldb.Dn(samdb, samdb.get_dsServiceName()))
message['invocationId'] = ldb.MessageElement(ndr_pack(misc.GUID(id)), ldb.FLAG_MOD_REPLACE, 'invocationId')
samdb.modify(message, controls=['relax:0'])
`;

/** What happens after the backup, and is stored before the server is set back: Nora is new, Anna has a title, Berta is gone. */
async function changeAndSync(): Promise<void> {
  await sync(tidemark, kept, 'complete');
  await addUser('Nora', { manager: cn('Anna') });
  await client.modify(cn('Anna'), [replace('title', 'Head')]);
  await client.modify(cn('Team'), [add('member', cn('Nora'), cn('Carla'))]);
  await client.del(cn('Berta'));
  await sync(tidemark, kept, 'delta');
  await expectAsReadAnew(tidemark, kept, settings);
}

/** The state of the backup, but nothing is believed to be deleted that the backup can't know: Nora is held. */
async function expectStateOfBackup(): Promise<void> {
  expect(await heldOf(tidemark, kept)).toEqual({ [cn('Nora')]: expect.stringMatching(/^unknown: .*no trace/) });
  const fresh = tidemark.temporal.integrationId('fresh');
  await configure(tidemark, fresh, settings);
  await sync(tidemark, fresh, 'complete');
  const ofBackup = await objectsOf(tidemark.store, fresh);
  const now = await objectsOf(tidemark.store, kept);
  expect(now.filter(({ key }) => key !== cn('Nora'))).toEqual(ofBackup);
  expect(now.length).toBe(ofBackup.length + 1);
}

test('a domain controller that is set back to before the marker is read completely; what it has forgotten is held', async () => {
  const backup = await backUp();
  await changeAndSync();
  await putBack(backup);
  const { streams } = await syncBecomesComplete(
    tidemark,
    kept,
    /the marker is not valid: The marker is at \d+, but dc1.* was set back to an earlier state/,
  );
  expect(streams).toMatchObject({ users: { deleted: 0, restored: 1, updated: 1, held: 1 } });
  await expectStateOfBackup();
  // The new marker is one of the server as it is now.
  await client.modify(cn('Carla'), [replace('title', 'Head')]);
  await sync(tidemark, kept, 'delta');
  await expectStateOfBackup();
});

test('a domain controller that is set back and has counted past the marker since is read completely', async () => {
  const backup = await backUp();
  await changeAndSync();
  await putBack(backup);
  // Putting a backup back takes a while.
  await ageMarkers(tidemark, kept, '10 minutes');
  // Numbers that had been given out before, and were read before.
  await client.modify(cn('Carla'), [replace('title', 'Chief')]);
  await addUser('Olga');
  for (let round = 1; round <= 40; round += 1) await client.modify(cn('Team'), [replace('description', `Round ${round}`)]);
  const { streams } = await syncBecomesComplete(
    tidemark,
    kept,
    /the marker is not valid: dc1.* was set back to a state before \d+ and has counted past it again/,
  );
  expect(streams).toMatchObject({ users: { created: 1, deleted: 0, restored: 1, held: 1 } });
  await expectStateOfBackup();
  await sync(tidemark, kept, 'delta');
  await expectStateOfBackup();
});

test('a domain controller whose database was restored under a new invocationId is read completely; what it has forgotten is held', async () => {
  const backup = await backUp();
  await changeAndSync();
  await putBack(backup, () => changeInvocationId());
  const { streams } = await syncBecomesComplete(
    tidemark,
    kept,
    /the marker is not valid: The database of dc1.* was restored or made anew .*other invocationId/,
  );
  expect(streams).toMatchObject({ users: { deleted: 0, restored: 1, updated: 1, held: 1 } });
  await expectStateOfBackup();
  await sync(tidemark, kept, 'delta');
  await expectStateOfBackup();
});
