import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decide } from '../../../store/identities/decisions.ts';
import { explainIdentity, readIdentities, readUnjoined } from '../../../store/identities/read.ts';
import { all } from './support.ts';
import { type IdentityTables, openTables } from './tables.ts';

let world: IdentityTables;
beforeAll(async () => {
  world = await openTables();
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** Identities by number: the source ids that belong to them. */
async function members(): Promise<Readonly<Record<string, readonly string[]>>> {
  const found = await all(readIdentities(world.pool));
  return Object.fromEntries(found.map(({ id, objects }) => [id, objects.map(({ sourceId }) => sourceId)]));
}

async function idOf(sourceId: string): Promise<string> {
  const [id] = Object.entries(await members()).find(([, objects]) => objects.includes(sourceId)) ?? [];
  return id ?? 'nobody';
}

async function valuesOf(sourceId: string): Promise<Readonly<Record<string, unknown>>> {
  const found = await explainIdentity(world.pool, await idOf(sourceId));
  return Object.fromEntries(Object.entries(found?.attributes ?? {}).map(([name, { value, object }]) => [name, [value, object?.sourceId]]));
}

async function settle(): Promise<Readonly<Record<string, number>>> {
  await world.read();
  return world.join();
}

describe('a person who leaves and returns', () => {
  it('is carried on by the next source, ends with the last, and comes back under the same number', async () => {
    world.put('hr', 'leaves-hr', { number: '100', mail: 'l@example.com', cn: 'From HR' });
    world.put('partners', 'leaves-partner', { number: '0100', cn: 'From partners' });
    world.put('ad', 'leaves-ad', { number: 'N100', mail: 'l@ad.example.com' });
    await settle();
    const id = await idOf('leaves-hr');
    expect((await members())[id]).toEqual(['leaves-hr', 'leaves-partner', 'leaves-ad']);
    expect(await valuesOf('leaves-hr')).toEqual({ displayName: ['From HR', 'leaves-hr'], email: ['l@ad.example.com', 'leaves-ad'] });
    world.remove('hr', 'leaves-hr');
    expect(await settle()).toMatchObject({ created: 0, deleted: 0 });
    expect((await members())[id]).toEqual(['leaves-partner', 'leaves-ad']);
    expect(await valuesOf('leaves-ad')).toMatchObject({ displayName: ['From partners', 'leaves-partner'] });
    world.remove('partners', 'leaves-partner');
    expect(await settle()).toMatchObject({ deleted: 1 });
    expect(await idOf('leaves-ad')).toBe('nobody');
    expect(await explainIdentity(world.pool, id)).toMatchObject({ endedAt: expect.any(String), attributes: {} });
    // HR gives whoever returns a new record with the old number.
    world.put('hr', 'leaves-hr-2', { number: '100', cn: 'Back again' });
    expect(await settle()).toMatchObject({ created: 0, restored: 1 });
    expect((await members())[id]).toEqual(['leaves-hr-2', 'leaves-ad']);
  });
});

describe('a value that is looked up', () => {
  it('is recomputed for exactly those concerned when the other object changes, goes, appears or takes the name of another', async () => {
    for (let n = 1; n <= 5; n++) world.put('hr', `place-${n}`, { number: `20${n}`, building: n <= 3 ? 'x1' : 'x2' });
    world.putBuilding('b-x1', { code: 'x1', cn: 'Old Mill' });
    await settle();
    expect(await valuesOf('place-1')).toEqual({ place: ['Old Mill', 'place-1'] });
    expect(await valuesOf('place-4')).toEqual({});
    world.putBuilding('b-x1', { code: 'x1', cn: 'New Mill' });
    expect(await settle()).toEqual({ read: 1, created: 0, updated: 3, unchanged: 0, deleted: 0, restored: 0 });
    expect(await valuesOf('place-3')).toEqual({ place: ['New Mill', 'place-3'] });
    world.putBuilding('b-x2', { code: 'x2', cn: 'Harbour' });
    expect(await settle()).toMatchObject({ updated: 2, unchanged: 0 });
    expect(await valuesOf('place-4')).toEqual({ place: ['Harbour', 'place-4'] });
    world.putBuilding('b-x1', { code: 'x2', cn: 'Mill at the harbour' });
    expect(await settle()).toMatchObject({ updated: 5, unchanged: 0 });
    expect(await valuesOf('place-1')).toEqual({});
    expect(await valuesOf('place-5')).toEqual({ place: ['Mill at the harbour', 'place-5'] });
    world.remove('hr', 'b-x1');
    world.remove('hr', 'b-x2');
    expect(await settle()).toMatchObject({ updated: 2, unchanged: 0 });
    expect(await settle()).toEqual({});
  });
});

it('several values of an attribute are looked up in their order, until one is found', async () => {
  world.put('hr', 'many-places', { number: '210', building: ['nowhere', 'y2', 'y1'] });
  world.putBuilding('b-y1', { code: 'y1', cn: 'First' });
  world.putBuilding('b-y2', { code: 'y2', cn: 'Second' });
  await settle();
  expect(await valuesOf('many-places')).toEqual({ place: ['Second', 'many-places'] });
  world.remove('hr', 'b-y2');
  await settle();
  expect(await valuesOf('many-places')).toEqual({ place: ['First', 'many-places'] });
});

describe('an object that fits several', () => {
  it('waits for a person, whose decisions hold against every rule and every recomputation', async () => {
    world.put('hr', 'two-a', { number: '301', mail: 'same@example.com' });
    world.put('hr', 'two-b', { number: '302', mail: 'same@example.com' });
    world.put('ad', 'two-ad', { aliases: ['SAME@example.com '] });
    await settle();
    const waiting = (await all(readUnjoined(world.pool, 'ambiguous'))).filter(({ sourceId }) => sourceId === 'two-ad');
    const [a, b] = [await idOf('two-a'), await idOf('two-b')];
    expect(waiting).toEqual([
      { integration: 'ad', stream: 'users', sourceId: 'two-ad', state: 'ambiguous', rule: 'mail', candidates: [a, b] },
    ]);
    const object = { integration: 'ad', stream: 'users', sourceId: 'two-ad', by: 'alice', why: 'asked her' };
    await decide(world.pool, 'join', { ...object, identity: b });
    await world.join();
    expect(await idOf('two-ad')).toBe(b);
    expect((await explainIdentity(world.pool, b))?.decisions).toMatchObject([
      { kind: 'join', object: { sourceId: 'two-ad' }, other: { sourceId: 'two-b' }, by: 'alice', why: 'asked her' },
    ]);
    await world.join('complete');
    expect(await idOf('two-ad')).toBe(b);
    await decide(world.pool, 'split', { ...object, identity: b });
    await world.join();
    // Apart from the one, only the other is left for the rule to find.
    expect(await idOf('two-ad')).toBe(a);
    await expect(decide(world.pool, 'split', { ...object, identity: b })).rejects.toThrow('does not belong to identity');
    await expect(decide(world.pool, 'join', { ...object, identity: '999999' })).rejects.toThrow('There is no identity 999999');
    await expect(
      decide(world.pool, 'split', { ...object, sourceId: 'two-a', stream: 'users', integration: 'hr', identity: a }),
    ).rejects.toThrow('is that of two-a');
  });
});

describe('keys', () => {
  it.each([
    ['  Zoë  Müller ', ['trim', 'unaccented', 'lower'], 'zoe muller'],
    ['ŁÓDŹ Straße', ['unaccented', 'lower'], 'lodz strasse'],
    ['E-00 417', ['digits', 'unpadded'], '417'],
    ['n/a', ['digits'], null],
  ])('of %j by %j are %j', async (value, how, key) => {
    const { rows } = await world.pool.query<{ key: string }>(`select tidemark.correlation_keys($1, '{it}', $2) as key`, [
      { it: value },
      how,
    ]);
    expect(rows).toEqual(key === null ? [] : [{ key }]);
  });

  it('of one value are the same by the expression for bulk work as by the function for all', async () => {
    const values = [
      'A-007',
      '000',
      '',
      ' ',
      'a b',
      'É0',
      '\t7',
      'x\u00a0',
      '~!"\'',
      'ß',
      '0'.repeat(201),
      'Ab'.repeat(150),
      '\u200b',
      '1\u007f',
    ];
    const { rows } = await world.pool.query<{ value: string; how: string[]; one: string | null; all: string | null }>(
      `select v.value, h.how, nullif(tidemark.correlation_key(v.value, h.how), '') as one,
              (select k from tidemark.correlation_keys(jsonb_build_object('it', v.value), '{it}', h.how) k) as all
         from unnest($1::text[]) v (value)
         cross join lateral (
           select array_remove(array[case when n & 1 > 0 then 'trim' end, case when n & 2 > 0 then 'unaccented' end, case when n & 4 > 0 then 'lower' end,
                                     case when n & 8 > 0 then 'digits' end, case when n & 16 > 0 then 'unpadded' end], null) as how
             from generate_series(0, 31) n) h`,
      [values],
    );
    expect(rows).toHaveLength(values.length * 32);
    for (const { value, how, one, all } of rows) expect(one, `${JSON.stringify(value)} by ${how}`).toBe(all);
  });

  it('of several attributes together need them all', async () => {
    const keys = (attributes: object) =>
      world.pool.query(`select tidemark.correlation_keys($1, '{a,b}', '{lower}') as key`, [attributes]).then(({ rows }) => rows.length);
    expect([await keys({ a: 'X', b: 1 }), await keys({ a: 'X' }), await keys({ a: 'X', b: '' })]).toEqual([1, 0, 0]);
  });

  it('that a hundred share identify nobody', async () => {
    for (let n = 0; n < 101; n++) world.put('hr', `common-${n}`, { mail: 'info@example.com' });
    world.put('ad', 'common-ad', { aliases: ['info@example.com'] });
    await settle();
    expect(await world.outside()).toContain('unjoined ad/common-ad');
    world.remove('hr', 'common-0');
    await settle();
    expect((await world.outside()).find((text) => text.startsWith('ambiguous ad/common-ad'))).toBeDefined();
  });
});

it('a run that is cut off between joining and composing leaves the next one nothing to guess', async () => {
  world.put('hr', 'cut-hr', { number: '401', cn: 'Before' });
  await settle();
  const id = await idOf('cut-hr');
  world.put('hr', 'cut-hr', { number: '402', cn: 'After' });
  world.put('ad', 'cut-ad', { number: '402', mail: 'cut@example.com' });
  await world.read();
  await world.join('delta', 'cut');
  await world.join('delta');
  expect((await members())[id]).toEqual(['cut-hr', 'cut-ad']);
  expect(await valuesOf('cut-hr')).toEqual({ displayName: ['After', 'cut-hr'], email: ['cut@example.com', 'cut-ad'] });
});

it('a complete run notes what a decision has noted already no second time', async () => {
  world.put('hr', 'noted-hr', { number: '501' });
  world.put('ad', 'noted-ad', { number: '502' });
  await settle();
  const id = await idOf('noted-hr');
  await decide(world.pool, 'join', { integration: 'ad', stream: 'users', sourceId: 'noted-ad', identity: id, by: 'alice', why: '' });
  await world.join('complete');
  expect((await members())[id]).toEqual(['noted-hr', 'noted-ad']);
});
