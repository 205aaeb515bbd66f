import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Connector } from '../connectors/connector.ts';
import { ldap } from '../connectors/ldap/index.ts';
import { startSlapd } from '../test/support/slapd.ts';
import type { Directory } from './directory.ts';
import { type Design, designDirectory, type Entry, ldifOf, organizationalUnit, populationOf } from './population.ts';

const run = promisify(execFile);

const suffix = 'dc=company,dc=example';

/** An OpenLDAP server with this many users, or with this many users of each tenant; `slapadd` loads some 40,000 a second. */
export async function startSlapdSource(undo: AsyncDisposableStack, users: number, tenants?: number): Promise<Directory> {
  const bases = tenants === undefined ? [suffix] : Array.from({ length: tenants }, (_, index) => `ou=tenant ${index},${suffix}`);
  const designs = bases.map((base) => designDirectory(base, populationOf(users)));
  const server = undo.use(await startSlapd({ suffix, ldif: ldifOf(entriesOf(designs)) }));
  const [design = designDirectory(suffix, populationOf(users))] = designs;
  // The version goes to standard error.
  const version = await run('/usr/sbin/slapd', ['-VV']).catch((error: { readonly stderr: string }) => error);
  const access = { url: server.url, baseDn: suffix, bindDn: server.readerDn, password: server.readerPassword };
  return {
    name: 'slapd',
    version: /slapd (\S+)/.exec(version.stderr)?.[1] ?? '',
    connector: ldap as Connector,
    settings: { urls: [server.url], bindDn: server.readerDn, baseDn: suffix, allowPlaintext: true },
    access,
    controls: { options: [], library: () => [] },
    id: 'entryUUID',
    links: {
      users: { manager: 'manager' },
      groups: { member: 'member', owner: 'owner' },
      containers: {},
    },
    users: users * bases.length,
    bases,
    userDn: (index) => designs[index % designs.length]?.userDn(Math.floor(index / designs.length) % users) ?? '',
    groupDn: (index) => design.groupDn(index % design.population.groups),
    newUser: (name) => ({
      dn: `uid=${name},${design.unitDn(0)}`,
      attributes: { objectClass: 'inetOrgPerson', uid: name, cn: name, sn: name, mail: `${name}@company.example`, title: 'New' },
    }),
    client: () => server.client(),
    async position() {
      const client = await server.client();
      const { searchEntries } = await client.search(suffix, { scope: 'base', attributes: ['contextCSN'] });
      await client.unbind();
      return [searchEntries[0]?.contextCSN ?? ''].flat().toString();
    },
    changedSince: (position) => `(entryCSN>=${position})`,
  };
}

function* entriesOf(designs: readonly Design[]): Generator<Entry> {
  for (const design of designs) {
    if (design.baseDn !== suffix) yield organizationalUnit(design.baseDn);
    yield* design.entries();
  }
}
