import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { domainScope, extendedDn } from '../connectors/active-directory/controls.ts';
import { activeDirectory } from '../connectors/active-directory/index.ts';
import type { Connector } from '../connectors/connector.ts';
import { startSamba } from '../test/support/samba.ts';
import { populateStopped } from '../test/support/samba-population.ts';
import type { Directory } from './directory.ts';

const run = promisify(execFile);

/** A Samba domain controller with this many users; filling it takes a second for some 300. */
export async function startSambaSource(undo: AsyncDisposableStack, users: number): Promise<Directory> {
  const dc = undo.use(await startSamba());
  const populated = await populateStopped(dc, { users });
  const version = await run('/usr/sbin/samba', ['--version']);
  return {
    name: 'samba',
    version: version.stdout.trim(),
    connector: activeDirectory as Connector,
    settings: { urls: [dc.ldapsUrl], caFile: dc.caFile, bindDn: dc.adminDn, baseDn: dc.baseDn },
    access: { url: dc.ldapsUrl, baseDn: dc.baseDn, bindDn: dc.adminDn, password: dc.adminPassword, caFile: dc.caFile },
    controls: {
      // The extended DN control's value is SEQUENCE { INTEGER 1 } in base64; the other control takes referrals away.
      options: ['-E', '!1.2.840.113556.1.4.529=::MAMCAQE=', '-E', '!1.2.840.113556.1.4.1339'],
      library: () => [domainScope(), extendedDn()],
    },
    id: 'objectGUID',
    links: {
      users: { manager: 'manager', primaryGroupID: null, objectSid: null },
      groups: { member: 'member', managedBy: 'owner' },
      containers: { managedBy: 'owner' },
    },
    users,
    bases: [dc.baseDn],
    userDn: (index) => populated.users[index] ?? '',
    groupDn: (index) => populated.groups[index % populated.groups.length] ?? '',
    newUser: (name) => ({
      dn: `CN=${name},${populated.peopleDn}`,
      attributes: { objectClass: 'user', sAMAccountName: name, displayName: name, mail: `${name}@corp.example`, title: 'New' },
    }),
    client: () => dc.client(),
    async position() {
      const client = await dc.client();
      const { searchEntries } = await client.search('', { scope: 'base', attributes: ['highestCommittedUSN'] });
      await client.unbind();
      return String(searchEntries[0]?.highestCommittedUSN);
    },
    changedSince: (position) => `(uSNChanged>=${BigInt(position) + 1n})`,
  };
}
