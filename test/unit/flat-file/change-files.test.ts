import { describe, expect, test } from 'vitest';
import type { Session } from '../../../connectors/connector.ts';
import { type Item, objectOf } from '../../../model/item.ts';
import type { Marker } from '../../../model/marker.ts';
import { failureOf, objects, readAll, sessionOf, toEnd } from './reading.ts';

const block = { files: ['base-*.csv'], changes: { files: 'change-*.csv' } };
const head = 'operation,id,name\n';

/** A base up to number 1, and the change files 2 and 3. */
function delivered(): Record<string, string> {
  return {
    'base-1.csv': 'id,name\n1,A\n2,B\n3,C\n',
    'change-2.csv': `${head}u,1,A2\nI,4,D\n`,
    'change-003.csv': `${head}D,2,\nU,1,A3\n`,
  };
}

const session = (files: Record<string, string>, more: object = {}): Session => sessionOf(files, { ...block, ...more });

async function delta(from: Session, since: Marker): Promise<readonly Item[]> {
  const { items, end } = await toEnd(from.readChanges('users', since, await from.mark('users')));
  expect(end).toEqual({ covers: 'changes' });
  return items;
}

/** What items leave of everybody. */
function left(items: readonly Item[]): Record<string, unknown> {
  const state: Record<string, unknown> = {};
  for (const item of items) {
    if (item.kind === 'gone') delete state[item.id];
    else Object.assign(state, objects([item]));
  }
  return state;
}

describe('change files', () => {
  test('a complete read is the base with the changes after it, in the order of their numbers', async () => {
    const { items, end } = await readAll(session(delivered()));
    expect(left(items)).toEqual({ 1: { name: 'A3' }, 3: { name: 'C' }, 4: { name: 'D' } });
    expect(end).toMatchObject({ covers: 'listing', seal: { objects: 6 } });
  });

  test('a delta reads what came after the marker alone; without news it reads nothing', async () => {
    const files = delivered();
    const before = await session(files).mark('users');
    expect(await session(files).judge('users', before)).toEqual({ valid: true });
    expect(await delta(session(files), before)).toEqual([]);
    files['change-4.csv'] = `${head}D,3,\n`;
    expect(await delta(session(files), before)).toEqual([{ kind: 'gone', id: '3', reason: 'a change file says so' }]);
  });

  test('a read by ids tells what base and changes leave of them', async () => {
    const found = await session(delivered()).readByIds('users', ['1', '2', '3', '9']);
    expect([...found].map(([id, { kind }]) => [id, kind])).toEqual([
      ['1', 'found'],
      ['2', 'gone'],
      ['3', 'found'],
      ['9', 'gone'],
    ]);
    const first = found.get('1');
    expect(first?.kind === 'found' && objectOf(first.item).attributes).toEqual({ name: 'A3' });
  });

  test('a gap stops complete reads and deltas, and says which number is missing', async () => {
    const files = delivered();
    const before = await session(files).mark('users');
    files['change-6.csv'] = `${head}D,3,\n`;
    const missing = /^ListingIncomplete: change-\*\.csv: number 4 to 5 is missing before 6 \(change-6\.csv\)/;
    expect(await failureOf(delta(session(files), before))).toMatch(missing);
    expect(await failureOf(readAll(session(files)))).toMatch(missing);
  });

  test('a number that comes twice is refused', async () => {
    const files = { ...delivered(), 'change-3.csv': `${head}D,3,\n` };
    expect(await failureOf(readAll(session(files)))).toMatch(/number 3 comes twice/);
  });

  test('an applied file whose content changed is an error that names it; a complete read takes it as it is', async () => {
    const files = delivered();
    const before = await session(files).mark('users');
    files['change-2.csv'] = `${head}U,1,Other\n`;
    expect(await failureOf(delta(session(files), before))).toMatch(
      /^ListingIncomplete: change-2\.csv: it was applied before, and has another/,
    );
    expect(left((await readAll(session(files))).items)).toEqual({ 1: { name: 'A3' }, 3: { name: 'C' } });
  });

  test('a change file that changes after the run began is refused', async () => {
    const files = delivered();
    const run = session(files);
    const upTo = await run.mark('users');
    files['change-003.csv'] = `${head}U,1,Other\n`;
    expect(await failureOf(toEnd(run.readAll('users', upTo)))).toMatch(/change-003\.csv: its content has changed since the run began/);
  });

  test('change files before a new base may go; without them an older marker is invalid, and one that is ahead of the folder stops', async () => {
    const files = delivered();
    const before = await session(files).mark('users');
    files['base-5.csv'] = 'id,name\n1,A5\n';
    files['change-4.csv'] = `${head}D,3,\n`;
    files['change-5.csv'] = `${head}U,1,A5\n`;
    expect(await session(files).judge('users', before)).toEqual({ valid: true });
    expect(await delta(session(files), before)).toHaveLength(2);
    delete files['change-4.csv'];
    expect(await session(files).judge('users', before)).toMatchObject({
      valid: false,
      reason: expect.stringMatching(/base-5\.csv has taken/),
    });
    const after = await session(files).mark('users');
    delete files['base-5.csv'];
    delete files['change-5.csv'];
    expect(await failureOf(session(files).judge('users', after))).toMatch(
      /change files up to number 5 were applied, but now they go up to 3 only/,
    );
  });

  test('rows may be numbered instead of files, through all of them', async () => {
    const numbered = { ...block, changes: { files: 'change-*.csv', sequenceColumn: 'no', operation: 'op' } };
    const files: Record<string, string> = {
      'base-10.csv': 'id,name\n1,A\n',
      'change-mon.csv': 'no,op,id,name\n10,I,9,before the base\n11,I,2,B\n',
      'change-tue.csv': 'no,op,id,name\n12,D,1,\n',
    };
    expect(left((await readAll(sessionOf(files, numbered))).items)).toEqual({ 2: { name: 'B' } });
    const before = await sessionOf(files, numbered).mark('users');
    files['change-wed.csv'] = 'no,op,id,name\n13,U,2,B2\n';
    expect(await delta(sessionOf(files, numbered), before)).toMatchObject([{ id: '2', attributes: { name: 'B2' } }]);
    files['change-wed.csv'] = 'no,op,id,name\n13,U,2,B2\n15,U,2,B3\n';
    expect(await failureOf(delta(sessionOf(files, numbered), before))).toMatch(/change-wed\.csv, line 3: number 15 follows 13/);
    files['change-wed.csv'] = 'no,op,id,name\n14,U,2,B2\n';
    expect(await failureOf(delta(sessionOf(files, numbered), before))).toMatch(/number 13 is missing before 14/);
  });

  test('LDIF change records add and delete whole entries; a modification is refused with its line', async () => {
    const ldif = { files: ['base-*.ldif'], key: 'dn', changes: { files: 'change-*.ldif' } };
    const files: Record<string, string> = {
      'base-1.ldif': 'dn: a\nname: A\n\ndn: b\nname: B\n',
      'change-2.ldif': 'dn: a\nchangetype: delete\n\ndn: c\nchangetype: add\nname: C\n',
    };
    expect(left((await readAll(sessionOf(files, ldif))).items)).toEqual({ b: { name: 'B' }, c: { name: 'C' } });
    files['change-2.ldif'] = 'dn: a\nchangetype: modify\nreplace: name\nname: X\n-\n';
    expect(await failureOf(readAll(sessionOf(files, ldif)))).toMatch(
      /change-2\.ldif, line 1: a record with changetype modify does not hold/,
    );
  });

  test('a word that is no operation, and a name without a number, are refused', async () => {
    const files = delivered();
    files['change-2.csv'] = `${head}X,1,A2\n`;
    expect(await failureOf(readAll(session(files)))).toMatch(/^InvalidConfiguration: change-2\.csv, line 2: operation is none of I, U, D/);
    expect(await failureOf(readAll(session({ ...delivered(), 'change-new.csv': head })))).toMatch(
      /change-new\.csv: "new" is no sequence number/,
    );
  });
});
