import { expect, test } from 'vitest';
import { entryReader } from '../../../connectors/active-directory/entry-reader.ts';
import type { AttributeDefinition } from '../../../connectors/active-directory/schema.ts';
import type { DirectoryConnection, Search } from '../../../connectors/directory/connection.ts';
import type { Entry } from '../../../connectors/directory/entry.ts';
import { entryOf } from '../directory/messages.ts';

// Samba gives ranges only where they are asked for, so what a Windows server does by itself is told here by hand
// ([MS-ADTS] 3.1.1.3.1.3.3; MaxValRange).

const guid = '01234567-89ab-cdef-0123-456789abcdef';
const dn = `<GUID=${guid}>;CN=Somebody,DC=corp,DC=example`;

function entry(type: string, values: readonly string[]): Entry {
  return entryOf(dn, [{ type, values }]);
}

function readerOver(answers: readonly (Entry | undefined)[], asked: Search[]) {
  const left = [...answers];
  const connection: DirectoryConnection = {
    host: 'dc1.corp.example:636',
    async search(search) {
      asked.push(search);
      const answer = left.shift();
      return answer === undefined ? [] : [answer];
    },
    // biome-ignore lint/correctness/useYield: there are no pages here
    async *pages() {
      throw new Error('no pages are read here');
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const definition: AttributeDefinition = { name: 'otherMailbox', form: 'text', single: false, untracked: false };
  return entryReader({
    connection,
    plan: { name: 'users', base: 'DC=corp,DC=example', scope: 'sub', filterText: '(objectClass=user)', links: [] },
    requested: ['otherMailbox'],
    schema: new Map([['othermailbox', definition]]),
    primaryGroups: { groupOf: async () => undefined },
    memberRange: 1_500,
    trackable: true,
  });
}

test('an attribute that the server caps by itself is read whole', async () => {
  const asked: Search[] = [];
  const reader = readerOver([entry('otherMailbox;range=2-3', ['c', 'd']), entry('otherMailbox;range=4-*', ['e'])], asked);
  const { item } = await reader.read(entry('otherMailbox;range=0-1', ['a', 'b']));
  expect(item).toMatchObject({ id: guid, attributes: { otherMailbox: ['a', 'b', 'c', 'd', 'e'] } });
  expect(asked.map(({ attributes }) => attributes)).toEqual([['otherMailbox;range=2-1501'], ['otherMailbox;range=4-1503']]);
});

test('a part of the values never passes for all of them', async () => {
  const reader = readerOver([undefined], []);
  await expect(reader.read(entry('otherMailbox;range=0-1', ['a', 'b']))).rejects.toMatchObject({ type: 'ListingIncomplete' });
});
