import type { Client } from 'ldapts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ldap } from '../../../connectors/ldap/index.ts';
import { add, remove, replace } from '../../support/directory-edits.ts';
import { type SlapdServer, startSlapd } from '../../support/slapd.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { expectNoDrift, passwordVariable, sync } from '../active-directory/deltas-oracle.ts';
import { entry } from './support.ts';

const suffix = 'dc=corp,dc=example';
const person = (index: number, unit = index % 3): string => `uid=p${index},ou=unit ${unit},${suffix}`;
const group = (name: string): string => `cn=${name},${suffix}`;
const people = 60;

let server: SlapdServer;
let client: Client;
let tidemark: TestTidemark;
const undo = new AsyncDisposableStack();

function* population(): Iterable<string> {
  for (const unit of [0, 1, 2]) yield entry(`ou=unit ${unit},${suffix}`, { objectClass: 'organizationalUnit' });
  for (let index = 0; index < people; index += 1) {
    yield entry(person(index), {
      objectClass: 'inetOrgPerson',
      cn: `Person ${index}`,
      sn: 'Person',
      mail: `p${index}@corp.example`,
      ...(index === 0 ? {} : { manager: person(Math.floor((index - 1) / 8)) }),
    });
  }
  yield entry(group('all'), { objectClass: 'groupOfNames', member: Array.from({ length: people }, (_, index) => person(index)) });
  yield entry(group('few'), { objectClass: 'groupOfUniqueNames', uniqueMember: [person(1), person(2), group('all')], owner: person(3) });
  yield entry(group('posix'), { objectClass: 'posixGroup', gidNumber: '100', memberUid: ['p4', 'p5'] });
}

beforeAll(async () => {
  server = undo.use(await startSlapd({ ldif: population() }));
  tidemark = undo.use(await startTidemark([ldap]));
  process.env[passwordVariable] = server.readerPassword;
  client = await server.client();
  undo.defer(() => client.unbind());
}, 300_000);
afterAll(() => undo.disposeAsync());

async function integration(name: string, settings = ''): Promise<string> {
  const id = tidemark.temporal.integrationId(name);
  const unlimited = '{ count: 100000, percent: 100, floor: 1000 }';
  await tidemark.apply(`
integrations:
  ${id}:
    connector: ldap
    settings:
      urls: ['${server.url}']
      allowPlaintext: true
      bindDn: '${server.readerDn}'
      bindPassword: { env: ${passwordVariable} }
      baseDn: '${suffix}'
      ${settings}
    steps: { query: { pageSize: 7 }, membership: { limits: ${unlimited} }, cleanup: { limits: ${unlimited} } }
`);
  return id;
}

async function expectAsReadAnew(kept: string): Promise<void> {
  const fresh = await integration('fresh');
  await sync(tidemark, fresh, 'complete');
  expect(await objectsOf(tidemark.store, kept)).toEqual(await objectsOf(tidemark.store, fresh));
}

test('deltas leave in the database what a complete sync reads anew', async () => {
  const kept = await integration('kept');
  const { streams } = await sync(tidemark, kept, 'complete');
  expect(streams).toMatchObject({ users: { created: people }, groups: { created: 3 }, containers: { created: 3 } });
  const rounds: readonly (() => Promise<void>)[] = [
    async () => undefined,
    async () => {
      await client.modify(person(7), replace('mail', 'new@corp.example'));
      await client.del(person(8));
      await client.modify(group('all'), [remove('member', person(9)), add('member', person(100))]);
    },
    async () => {
      await client.add(person(100), { objectClass: 'inetOrgPerson', cn: 'Late', sn: 'Late', manager: person(7) });
      await client.modifyDN(person(2), `uid=two,ou=unit 0,${suffix}`);
    },
    async () => {
      await client.modifyDN(`ou=unit 1,${suffix}`, `ou=unit 9,${suffix}`);
      await client.modifyDN(person(4, 9), `uid=four,ou=unit 9,${suffix}`);
    },
    async () => {
      await client.modifyDN(`ou=unit 9,${suffix}`, `ou=unit 1,${suffix}`);
      await client.del(group('few'));
      await client.del(person(5));
      await client.add(person(5), { objectClass: 'inetOrgPerson', cn: 'Again', sn: 'Again' });
    },
  ];
  for (const change of rounds) {
    await change();
    await sync(tidemark, kept, 'delta');
    await expectAsReadAnew(kept);
  }
  await expectNoDrift(tidemark, kept);
});

test('without a log deleted entries wait for a complete sync, which deletes them', async () => {
  const kept = await integration('without-log', 'deletions: none');
  await sync(tidemark, kept, 'complete');
  await client.del(person(20));
  expect((await sync(tidemark, kept, 'delta')).streams.users).toMatchObject({ deleted: 0 });
  expect((await sync(tidemark, kept, 'complete')).streams.users).toMatchObject({ deleted: 1 });
});
