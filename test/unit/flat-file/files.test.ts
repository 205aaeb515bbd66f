import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flatFile } from '../../../connectors/flat-file/index.ts';
import { failureOf, objects, readAll, sessionOf, toEnd } from './reading.ts';

const failureIn = (files: Record<string, string | Buffer>, block: object = {}, attributes: readonly string[] = ['name']): Promise<string> =>
  failureOf(readAll(sessionOf(files, block, attributes)));

describe('CSV and TSV', () => {
  test('cells in quotes hold delimiters, quotes and line feeds; an empty cell has no value; a byte order mark is no part of a name', async () => {
    const { items, end } = await readAll(sessionOf({ 'p.csv': '\uFEFFid,name\r\n1,"Do, ""Jo""\nJr"\r\n\r\n2,\r\n3,李\r\n' }));
    expect(objects(items)).toEqual({ 1: { name: 'Do, "Jo"\nJr' }, 2: {}, 3: { name: '李' } });
    expect(end).toMatchObject({ covers: 'listing', seal: { objects: 3 } });
  });

  test('a TSV file, another delimiter, no quotes, and names of columns given by the settings', async () => {
    expect(objects((await readAll(sessionOf({ 'p.tsv': 'id\tname\n1\tA "B\n' }, { quote: '' }))).items)).toEqual({ 1: { name: 'A "B' } });
    const block = { delimiter: ';', header: ['name', 'id'], format: 'csv' };
    expect(objects((await readAll(sessionOf({ 'p.txt': 'Ann;1\n' }, block))).items)).toEqual({ 1: { name: 'Ann' } });
  });

  test('a ragged row is refused with its line', async () => {
    expect(await failureIn({ 'p.csv': 'id,name\n1,A\n2\n' })).toMatch(
      /^ListingIncomplete: p\.csv, line 3: the row has 1 cells, but there are 2/,
    );
    expect(await failureIn({ 'p.csv': 'id,name\n1,A,B\n' })).toMatch(/p\.csv, line 2: the row has 3 cells/);
  });

  test('a column that stands twice is refused: the last would win without a word', async () => {
    expect(await failureIn({ 'p.csv': 'id,name,name\n1,A,B\n' })).toMatch(
      /^InvalidConfiguration: p\.csv, line 1: the column name stands twice/,
    );
  });

  test('a column that is missing is refused, so that it empties no attribute', async () => {
    expect(await failureIn({ 'p.csv': 'id,nom\n1,A\n' })).toMatch(
      /^InvalidConfiguration: p\.csv, line 1: the header lacks name; it has id, nom/,
    );
    expect(await failureIn({ 'p.csv': '' })).toMatch(/p\.csv: it is empty: not even a header is there/);
  });

  test('a quote that is never closed is refused', async () => {
    expect(await failureIn({ 'p.csv': 'id,name\n1,"A\n2,B\n' })).toMatch(/p\.csv, line 2: a quote is opened and never closed/);
  });

  test('a quote that stands neither around a cell nor doubled within one is refused with its line', async () => {
    for (const row of ['1,A "B" C', '1,"A" B', '1,A""B', '"1"x,"A"']) {
      expect(await failureIn({ 'p.csv': `id,name\n0,Z\n${row}\n` })).toMatch(/p\.csv, line 3: a quote stands within a cell/);
    }
  });

  test('whatever cells hold, what is written by RFC 4180 is read as it was', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', 'ä', ' ', ',', ';;', '"', '\r', '\n'), maxLength: 6 });
    const written = (text: string, always: boolean) => (always || /[",\r\n;]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const file = fc.record({
      rows: fc.array(fc.record({ cells: fc.tuple(cell, cell), always: fc.boolean() }), { maxLength: 6 }),
      delimiter: fc.constantFrom(',', ';;'),
      end: fc.constantFrom('\n', '\r\n'),
    });
    await fc.assert(
      fc.asyncProperty(file, async ({ rows, delimiter, end }) => {
        const lines = rows.map(({ cells, always }, index) => [`${index}`, ...cells.map((one) => written(one, always))].join(delimiter));
        const text = [['id', 'one', 'two'].join(delimiter), ...lines].map((line) => `${line}${end}`).join('');
        const { items } = await readAll(sessionOf({ 'p.csv': text }, { delimiter }, ['one', 'two']));
        const kept = rows.map(({ cells: [one, two] }, index) => [
          index,
          { ...(one === '' ? {} : { one }), ...(two === '' ? {} : { two }) },
        ]);
        expect(objects(items)).toEqual(Object.fromEntries(kept));
      }),
      { numRuns: 300 },
    );
  });
});

describe('JSON Lines', () => {
  test('single values and lists come as they are, null and what is missing has no value', async () => {
    const text = '{"id":1,"name":"A","tags":["x","y"],"on":true}\n\n{"id":"2","name":null}\n';
    const { items } = await readAll(sessionOf({ 'p.jsonl': text }, {}, ['name', 'tags', 'on']));
    expect(objects(items)).toEqual({ 1: { name: 'A', tags: ['x', 'y'], on: true }, 2: {} });
  });

  test('what is no object, cut, nested, or a number beyond what is exact is refused with its line', async () => {
    expect(await failureIn({ 'p.jsonl': '{"id":1}\n{"id":' })).toMatch(/p\.jsonl, line 2: it is no JSON/);
    expect(await failureIn({ 'p.jsonl': '[1]\n' })).toMatch(/p\.jsonl, line 1: it is no JSON object/);
    expect(await failureIn({ 'p.jsonl': '{"id":1,"name":{"first":"A"}}\n' })).toMatch(/line 1: name is neither a single value nor a list/);
    expect(await failureIn({ 'p.jsonl': '{"id":12345678901234567890}\n' })).toMatch(/line 1: id is a number that JSON readers can't keep/);
  });
});

describe('LDIF', () => {
  test('folded lines, comments, base64, several values and any case of names', async () => {
    const text = `version: 1
# a comment
  that goes on
dn: uid=a,dc=x
ID: 1
cn: A long
  name
mail: a@x
mail: b@x
sn:: ${Buffer.from('Größe').toString('base64')}
photo:: /9j/4A==

dn:: ${Buffer.from('uid=ö,dc=x').toString('base64')}
id: 2
`;
    const { items } = await readAll(sessionOf({ 'p.ldif': text }, {}, ['dn', 'cn', 'mail', 'sn', 'photo']));
    expect(objects(items)).toEqual({
      1: { dn: 'uid=a,dc=x', cn: 'A long name', mail: ['a@x', 'b@x'], sn: 'Größe', photo: '/9j/4A==' },
      2: { dn: 'uid=ö,dc=x' },
    });
  });

  test('what is no LDIF, cut base64, records without a dn, and change records are refused with their line', async () => {
    expect(await failureIn({ 'p.ldif': 'dn: a\nid: 1\nnonsense\n' })).toMatch(/p\.ldif, line 3: it is no line of LDIF/);
    expect(await failureIn({ 'p.ldif': 'dn: a\nid: 1\nname:: R3L\n' })).toMatch(/p\.ldif, line 3: the value of name is no base64/);
    expect(await failureIn({ 'p.ldif': '\nid: 1\n' })).toMatch(/p\.ldif, line 2: the record does not begin with its dn/);
    expect(await failureIn({ 'p.ldif': 'dn: a\nid: 1\ndn: b\n' })).toMatch(/p\.ldif, line 3: a second dn in one record/);
    expect(await failureIn({ 'p.ldif': 'dn: a\nid: 1\njpeg:< file:///x\n' })).toMatch(/line 3: the value of jpeg is in another place/);
    expect(await failureIn({ 'p.ldif': 'dn: a\nchangetype: delete\nid: 1\n' })).toMatch(
      /line 1: it is a change record \(changetype: delete\)/,
    );
  });
});

describe('keys, types and links', () => {
  test('a key that comes twice is refused with both lines, in one file or in two', async () => {
    expect(await failureIn({ 'p.csv': 'id,name\n1,A\n2,B\n1,C\n' })).toMatch(/p\.csv, line 4: the row has the same id as line 2 of p\.csv/);
    const two = { 'p.csv': 'id,name\n1,A\n2,B\n', 'q.csv': 'id,name\n3,A\n2,B\n' };
    expect(await failureIn(two, { files: ['p.csv', 'q.csv'] })).toMatch(/q\.csv, line 3: the row has the same id as line 3 of p\.csv/);
  });

  test('a row without a key is refused with its line', async () => {
    expect(await failureIn({ 'p.csv': 'id,name\n1,A\n,B\n' })).toMatch(/p\.csv, line 3: the row has no id/);
  });

  test('types make numbers, booleans and lists; a cell that is none is refused with its line; words for no value have none', async () => {
    const types = { level: 'integer', share: 'number', active: 'boolean', phones: 'list' };
    const head = 'id,level,share,active,phones\n';
    const read = (text: string) => sessionOf({ 'p.csv': head + text }, { types, noValue: ['NULL'] }, Object.keys(types));
    expect(objects((await readAll(read('1,7,0.5,No,+49 1; +49 2\n2,NULL,,Y,\n'))).items)).toEqual({
      1: { level: 7, share: 0.5, active: false, phones: ['+49 1', '+49 2'] },
      2: { active: true },
    });
    expect(await failureOf(readAll(read('1,7,0.5,No,\n2,seven,1,Y,\n')))).toMatch(/p\.csv, line 3: level is no integer/);
    expect(await failureOf(readAll(read('1,7,0.5,maybe,\n')))).toMatch(/line 2: active is no boolean/);
  });

  test('links are keys with the prefix of their stream; long lists follow in slices; an empty cell is an empty list', async () => {
    const links = { manager: { column: 'boss', idPrefix: 'u-' }, member: { column: 'members', separator: '|' } };
    const many = Array.from({ length: 5_001 }, (_, index) => `k${index}`);
    const text = `id,boss,members\n1,7, a|b||a\n2,,${many.join('|')}\n`;
    const { items } = await readAll(sessionOf({ 'p.csv': text }, { links, idPrefix: 'g-' }, []));
    expect(items[0]).toEqual({ kind: 'object', id: 'g-1', attributes: {}, links: { manager: ['u-7'], member: ['a', 'b'] } });
    expect(items[1]).toEqual({ kind: 'object', id: 'g-2', attributes: {}, links: { manager: [] } });
    const slices = items
      .slice(2)
      .flatMap((item) => (item.kind === 'links' ? [{ id: item.id, count: item.targets.length, last: item.last }] : []));
    expect(slices).toEqual([
      { id: 'g-2', count: 5_000, last: false },
      { id: 'g-2', count: 1, last: true },
    ]);
  });
});

describe('encodings and packing', () => {
  test('utf-16, windows-1252 and gzip are read', async () => {
    const text = 'id,name\n1,Zoë\n';
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
    for (const [file, encoding] of [
      [utf16, 'utf-16le'],
      [Buffer.from(text, 'latin1'), 'windows-1252'],
    ] as const) {
      expect(objects((await readAll(sessionOf({ 'p.csv': file }, { encoding }))).items)).toEqual({ 1: { name: 'Zoë' } });
    }
    expect(objects((await readAll(sessionOf({ 'p.csv.gz': gzipSync(text) }))).items)).toEqual({ 1: { name: 'Zoë' } });
  });

  test('bytes that are not of the encoding are refused with their line, never replaced', async () => {
    const text = Buffer.concat([Buffer.from('id,name\n1,Zoë\n2,Zo'), Buffer.from([0xeb]), Buffer.from('\n3,C\n')]);
    expect(await failureIn({ 'p.csv': text })).toMatch(/^ListingIncomplete: p\.csv, line 3: it is not utf-8/);
    expect(await failureIn({ 'p.csv': text.subarray(0, -5) })).toMatch(/p\.csv, line 3: it is not utf-8, or ends within a character/);
  });

  test('a gzip file that was cut, or is none, is refused', async () => {
    const packed = gzipSync(`id,name\n${Array.from({ length: 500 }, (_, index) => `${index},Name ${index * 7}\n`).join('')}`);
    expect(await failureIn({ 'p.csv.gz': packed.subarray(0, -9) })).toMatch(/p\.csv\.gz: the gzip file ends in the middle/);
    expect(await failureIn({ 'p.csv.gz': 'id,name\n1,A\n' })).toMatch(/p\.csv\.gz: it is no gzip file/);
  });
});

describe('proof that a file is whole', () => {
  const text = 'id,name\n1,A\n2,B\n';
  const sha256 = createHash('sha256').update(text).digest('hex');
  const manifest = { manifest: '.done' };

  test('a file whose last line has no end is refused, even if its last row looks whole', async () => {
    expect(await failureIn({ 'p.csv': 'id,name\n1,A\n2,b@exam' })).toMatch(/p\.csv, line 3: the last line has no line feed/);
  });

  test('a manifest proves it by sha256 or by rows, or refuses it', async () => {
    const read = (content: string, said: string) => failureIn({ 'p.csv': content, 'p.csv.done': said }, { proof: manifest });
    expect(await read(text, JSON.stringify({ sha256: sha256.toUpperCase(), rows: 2 }))).toBe('no failure');
    expect(await read(text, '{"rows": 3}')).toMatch(/p\.csv: it has 2 rows, but p\.csv\.done says 3/);
    expect(await read(`${text}3,C\n`, JSON.stringify({ sha256 }))).toMatch(/p\.csv: its sha256 is not the one in p\.csv\.done/);
    expect(await read(text, 'done')).toMatch(/p\.csv\.done: it is no manifest/);
    expect(await failureIn({ 'p.csv': text }, { proof: manifest })).toMatch(/p\.csv\.done: there is no such file in memory/);
  });

  test('a file that is written to while it is read is refused', async () => {
    const files: Record<string, string> = { 'p.csv': text };
    const session = sessionOf(files, {}, ['name'], 1);
    const read = session.readAll('users', await session.mark('users'));
    await read.next();
    files['p.csv'] = `${text}3,C\n`;
    expect(await failureOf(toEnd(read))).toMatch(/p\.csv: it was written to while it was read/);
  });

  test('a delta refuses a file that is much shorter than the one before it; a complete read, and few lines, pass', async () => {
    const rows = (count: number): string => `id,name\n${Array.from({ length: count }, (_, index) => `${index},N\n`).join('')}`;
    const files: Record<string, string> = { 'p.csv': rows(100) };
    const session = sessionOf(files);
    const since = await session.mark('users');
    const delta = async () => toEnd(session.readChanges('users', since, await session.mark('users')));
    files['p.csv'] = rows(80);
    expect((await delta()).end).toMatchObject({ covers: 'listing', seal: { objects: 80 } });
    files['p.csv'] = rows(79);
    expect(await failureOf(delta())).toMatch(
      /^ListingIncomplete: p\.csv: 80 lines, where there were 101 before, .*maxShrinkPercent \(20\)/,
    );
    expect((await readAll(session)).items).toHaveLength(79);
  });

  test('fewer rows than minimumRows are refused', async () => {
    expect(await failureIn({ 'p.csv': text }, { proof: { minimumRows: 3 } })).toMatch(/p\.csv: 2 rows, but minimumRows asks for 3/);
  });
});

describe('which files', () => {
  test('a name with a star stands for the last that fits; unfinished files and manifests do not count', async () => {
    const files = {
      'p-2026-01.csv': 'id,name\n1,old\n',
      'p-2026-02.csv': 'id,name\n1,new\n',
      'p-2026-02.csv.done': '{"rows": 1}',
      'p-2026-03.csv.tmp': 'id,',
      '.p-2026-04.csv': 'id,',
    };
    const block = { files: ['p-*'], proof: { manifest: '.done' } };
    expect(objects((await readAll(sessionOf(files, block))).items)).toEqual({ 1: { name: 'new' } });
    expect(await failureIn(files, { files: ['q-*.csv'] })).toMatch(/^ListingIncomplete: q-\*\.csv: there is no such file in memory/);
  });

  test('files of the same content are not read again, whatever they are called; others are listed', async () => {
    const files: Record<string, string> = { 'p-1.csv': 'id,name\n1,A\n' };
    const session = sessionOf(files, { files: ['p-*.csv'] });
    const since = await session.mark('users');
    files['p-2.csv'] = 'id,name\n1,A\n';
    expect(await toEnd(session.readChanges('users', since, await session.mark('users')))).toEqual({
      items: [],
      end: { covers: 'changes' },
    });
    files['p-3.csv'] = 'id,name\n2,B\n';
    expect(objects((await toEnd(session.readChanges('users', since, await session.mark('users')))).items)).toEqual({ 2: { name: 'B' } });
  });

  test('a stream asks for files and a key, names an encoding that exists, and there must be a stream', async () => {
    const { error } = flatFile.streamSettings.safeParse({ files: ['a*b*.csv'], encoding: 'utf-9' });
    expect(error?.issues.map(({ path }) => path.join('.')).sort()).toEqual(['encoding', 'files.0', 'key']);
    expect(() => flatFile.streams(flatFile.settings.parse({ folder: 'x' }), {})).toThrow(/needs streams/);
  });

  test('the check of the source says which file is missing and which columns', async () => {
    const files: Record<string, string> = { 'p.csv': 'id,nom\n1,A\n' };
    const findings = async () => (await sessionOf(files).check()).findings.filter(({ severity }) => severity === 'failure');
    expect(await findings()).toMatchObject([
      { subject: 'users', failure: 'InvalidConfiguration', message: expect.stringMatching(/lacks name/) },
    ]);
    delete files['p.csv'];
    files['q.csv'] = '';
    const missing = (await sessionOf(files, { files: ['p.csv'] }).check()).findings.at(-1);
    expect(missing).toMatchObject({
      severity: 'failure',
      failure: 'ListingIncomplete',
      message: expect.stringMatching(/p\.csv: there is no such file/),
    });
  });
});
