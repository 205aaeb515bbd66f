import { expect, test } from 'vitest';
import { jsonRows } from '../../../connectors/flat-file/json-rows.ts';
import { ldifRows } from '../../../connectors/flat-file/ldif-rows.ts';

const formats = [
  {
    format: 'JSON Lines',
    read: jsonRows,
    text: '{"id":"1","name":"Ann"}\n{"other":2,"name":"Ann","id":"1"}\n{"id":"1","name":["Ann"]}\n{"id":"1"}\n{"id":"1","name":"null"}\n',
  },
  {
    format: 'LDIF',
    read: ldifRows,
    text: 'dn: o=1\nid: 1\nname: Ann\n\ndn: o=2\nName:: QW5u\nid: 1\nother: 2\n\ndn: o=3\nid: 1\nname: Ann\nname: Bea\n\ndn: o=4\nid: 1\n\ndn: o=5\nid: 1\nname: null\n',
  },
];

test.each(formats)('rows of $format have the same record where their cells are the same, and only there', async ({ read, text }) => {
  const records: (string | undefined)[] = [];
  async function* whole() {
    yield text;
  }
  for await (const rows of read(whole(), { file: 'people', columns: ['id', 'name'] })) records.push(...rows.map(({ record }) => record));
  const [first, same, ...others] = records;
  expect(first).toBeDefined();
  expect(same).toBe(first);
  expect(new Set([first, ...others]).size).toBe(4);
});
