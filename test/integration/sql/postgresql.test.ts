import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Item } from '../../../model/item.ts';
import { createDatabase } from '../../support/postgres.ts';
import { attributesOf, changed, doubt, failingCheck, listed, marked, openPeople, type SqlTarget, told } from './support.ts';

const password = 'Ordinary.Account.1';
const undo = new AsyncDisposableStack();
let admin: pg.Client;
let target: SqlTarget;
let reader: string;
let url: URL;

async function connect(database = url.href): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  undo.defer(() => client.end());
  return client;
}

beforeAll(async () => {
  const database = undo.use(await createDatabase());
  url = new URL(database.url);
  admin = await connect();
  reader = `reader${url.pathname.slice(1)}`;
  await admin.query(`create role ${reader} login password '${password}'`);
  undo.defer(async () => {
    await admin.query(`drop owned by ${reader}; drop role ${reader}`);
  });
  target = { password, settings: { url: `postgres://${url.host}${url.pathname}`, user: reader, allowPlaintext: true } };
});
afterAll(() => undo.disposeAsync());

beforeEach(async () => {
  await admin.query(`drop schema public cascade; create schema public; grant usage on schema public to ${reader};
    alter default privileges in schema public grant select on tables to ${reader};
    create table person (id bigint primary key, name text, dept text, changed_at timestamptz default now(), local_at timestamp, v bigint, deleted boolean default false)`);
});

const byTime = { table: 'person', key: 'id', changes: { by: 'timestamp', column: 'changed_at', lag: '1m' } };
const byXmin = { table: 'person', key: 'id', changes: { by: 'xmin' } };

test('rows that share one time of change are all given, wherever a page ends', async () => {
  const since = await marked(target, byTime);
  await admin.query(
    `insert into person (id, name, changed_at) select n, 'P' || n, '2026-05-05 10:00:00.123456Z' from generate_series(1, 8) n`,
  );
  for (const pageSize of [1, 2, 3, 7, 8, 9]) expect(told(await changed(target, byTime, since, { pageSize }))).toHaveLength(8);
  // A read that ends among them leaves no place from which the rest would be left out.
  await using cut = await openPeople(target, byTime);
  for await (const page of cut.readChanges('people', since, await cut.mark('people'))) {
    expect(page).toHaveLength(3);
    break;
  }
  expect(told(await changed(target, byTime, since))).toHaveLength(8);
});

test("rows that get the marker's own time or number after it was taken are given by the next delta, and what is a microsecond later too", async () => {
  const order = (changes: object) => ({ table: 'person', key: 'id', changes });
  const [time, version] = [order({ by: 'timestamp', column: 'changed_at', lag: '0s' }), order({ by: 'version', column: 'v', lag: 0 })];
  const insert = (id: number, at: string) =>
    admin.query('insert into person (id, changed_at, v) values ($1, $2, 7)', [id, `2026-03-01 23:03:${at}Z`]);
  await insert(1, '06.999999');
  await insert(2, '07.302674');
  const [sinceTime, sinceVersion] = [await marked(target, time), await marked(target, version)];
  await insert(3, '07.302674');
  await insert(4, '07.302675');
  await insert(5, '07.302999');
  expect(told(await changed(target, time, sinceTime))).toEqual(['object 2', 'object 3', 'object 4', 'object 5']);
  expect(told(await changed(target, version, sinceVersion))).toEqual([1, 2, 3, 4, 5].map((id) => `object ${id}`));
});

test('rows that change while they are read are given as they were, and by the next delta as they are', async () => {
  await admin.query(
    `insert into person (id, name, changed_at) select n, 'old', now() - (10 - n) * interval '1 hour' from generate_series(1, 6) n`,
  );
  for (const block of [byTime, byXmin]) {
    await admin.query(`update person set name = 'old'`);
    await using session = await openPeople(target, block, { pageSize: 2 });
    const upTo = await session.mark('people');
    const items: Item[] = [];
    for await (const page of session.readAll('people', upTo)) {
      // Those that were not read yet, one of which goes behind all others and one before what was read.
      if (items.length === 0) {
        await admin.query(`update person set name = 'new', changed_at = clock_timestamp() where id in (4, 5)`);
        await admin.query(`update person set id = 0, name = 'new', changed_at = clock_timestamp() where id = 6`);
      }
      items.push(...page);
    }
    expect(Object.values(attributesOf(items))).toEqual(Array(6).fill({ name: 'old' }));
    expect(attributesOf(await changed(target, block, upTo))).toMatchObject({ 0: { name: 'new' }, 4: { name: 'new' }, 5: { name: 'new' } });
    await admin.query('update person set id = 6 where id = 0');
  }
});

test('a transaction that began earlier and commits later is not missed: by time within the lag, by xmin however long it took', async () => {
  const slow = await connect();
  await slow.query('begin');
  await slow.query(`insert into person (id, changed_at) values (1, now() - interval '30 seconds')`);
  await admin.query('insert into person (id) values (2)');
  const [time, xmin] = [await marked(target, byTime), await marked(target, byXmin)];
  await slow.query(`insert into person (id, changed_at) values (3, now() - interval '2 hours')`);
  await slow.query('commit');
  expect(told(await changed(target, byTime, time))).toEqual(['object 1', 'object 2']);
  expect(told(await changed(target, byXmin, xmin))).toEqual(['object 1', 'object 2', 'object 3']);
});

test('times keep their microseconds, and numbers that JavaScript can not hold stay as they are', async () => {
  await admin.query(`alter table person add pay numeric, add big bigint, add small int, add raw bytea, add tags text[], add born date`);
  await admin.query(`insert into person (id, changed_at, local_at, pay, big, small, raw, tags, born)
    values (9007199254740993, '2026-01-02 03:04:05.683724+01', '2026-01-02 03:04:05.100001', 0.10000000000000000055, 9223372036854775807, 7, '\\x00ff', '{a,"b,c"}', '1980-02-29')`);
  await admin.query('insert into person (id) values (9007199254740992)');
  const attributes = ['changed_at', 'local_at', 'pay', 'big', 'small', 'raw', 'tags', 'born', 'deleted', 'name'];
  expect(attributesOf(await listed(target, byTime, { attributes }))['9007199254740993']).toEqual({
    changed_at: '2026-01-02T02:04:05.683724Z',
    local_at: '2026-01-02T03:04:05.100001',
    pay: '0.10000000000000000055',
    big: '9223372036854775807',
    small: 7,
    raw: 'AP8=',
    tags: ['a', 'b,c'],
    born: '1980-02-29',
    deleted: false,
  });
  await admin.query(`update person set changed_at = '2026-01-02 03:04:05.683725Z'`);
  expect((await marked(target, byTime)).position).toContain('2026-01-02T03:04:05.683725Z');
});

test('the hour that autumn has twice hides no change, and a clock without a zone is refused', async () => {
  const local = (timezone?: string) => ({
    table: 'person',
    key: 'id',
    changes: { by: 'timestamp', column: 'local_at', lag: '1m', ...(timezone ? { timezone } : {}) },
  });
  await admin.query(`insert into person (id, local_at) values (1, '2025-10-26 02:55'), (2, '2025-10-26 01:40')`);
  const since = await marked(target, local('Europe/Berlin'));
  // Fifteen minutes later by UTC.
  await admin.query(`insert into person (id, local_at) values (3, '2025-10-26 02:10')`);
  expect(told(await changed(target, local('Europe/Berlin'), since))).toEqual(['object 1', 'object 3']);
  expect(told(await changed(target, local('UTC'), since))).toEqual(['object 1']);
  expect(await failingCheck(target, local())).toMatchObject({
    subject: 'marker',
    failure: 'InvalidConfiguration',
    remedy: expect.stringContaining('timezone'),
  });
});

test('a zone that is set for the account changes neither markers nor values', async () => {
  await admin.query(`alter role ${reader} set timezone = 'America/New_York'`);
  await admin.query(`insert into person (id, changed_at) values (1, '2026-07-01 12:00Z')`);
  const since = await marked(target, byTime);
  await admin.query(`alter role ${reader} reset timezone`);
  expect(since.position).toContain('2026-07-01T12:00:00Z');
  await admin.query(`insert into person (id, changed_at) values (2, '2026-07-01 12:00:01Z'), (3, '2026-07-01 11:00Z')`);
  expect(told(await changed(target, byTime, since))).toEqual(['object 1', 'object 2']);
  expect(attributesOf(await listed(target, byTime, { attributes: ['changed_at'] }))['2']).toEqual({ changed_at: '2026-07-01T12:00:01Z' });
});

test('a date in the future hides nothing, and rows without a time are given by every delta', async () => {
  await admin.query(`insert into person (id, changed_at) values (1, '2099-01-01'), (2, null)`);
  const since = await marked(target, byTime);
  await admin.query('insert into person (id) values (3)');
  expect(told(await changed(target, byTime, since))).toEqual(['object 1', 'object 2', 'object 3']);
});

test('a restored database is told by what it is, by its newest change, by its transactions and by its tables', async () => {
  await admin.query('insert into person (id) values (1)');
  const before = await marked(target, byTime);
  await admin.query(`insert into person (id) values (2)`);
  const [time, xmin] = [await marked(target, byTime), await marked(target, byXmin)];
  expect(await doubt(target, byTime, time)).toBe('');
  await admin.query('delete from person where id = 2');
  expect(await doubt(target, byTime, time)).toContain('set back to an earlier state');
  const later = JSON.stringify({ rows: { ...JSON.parse(xmin.position).rows, at: '99999999' } });
  expect(await doubt(target, byXmin, { ...xmin, position: later })).toContain('set back to an earlier state');
  expect(await doubt(target, byTime, before)).toBe('');
  await admin.query('create table backup as table person; truncate person; insert into person table backup');
  expect(await doubt(target, byTime, before)).toContain('emptied, rewritten or made anew');
  await using other = await createDatabase();
  const client = new pg.Client({ connectionString: other.url });
  await client.connect();
  await client.query(`create table person (id bigint primary key, name text, changed_at timestamptz default now());
    insert into person (id) values (1); grant select on person to ${reader}`);
  await client.end();
  const restored = { ...target, settings: { ...target.settings, url: `postgres://${url.host}${new URL(other.url).pathname}` } };
  await expect(openPeople(restored, byTime, { server: before.server })).rejects.toMatchObject({ type: 'ServerChanged' });
  expect(await doubt(restored, byTime, before)).toContain('in another state');
});

test('a changed key is a deletion and a new row, where a table tells of what was removed', async () => {
  await admin.query(`create table person_gone (id bigint);
    create function tell() returns trigger language plpgsql as $$ begin insert into person_gone values (old.id); return null; end $$;
    create trigger tell after delete or update of id on person for each row execute function tell();
    insert into person (id) values (1), (2), (3)`);
  const block = { ...byXmin, deletions: { table: 'person_gone' } };
  const since = await marked(target, block);
  await admin.query(
    'update person set id = 10 where id = 1; delete from person where id = 2; insert into person (id) values (2); delete from person where id = 3',
  );
  // What was removed and is there again is told as both, in this order.
  const items = await changed(target, block, since);
  expect(told(items)).toEqual(['gone 1', 'gone 2', 'gone 3', 'object 10', 'object 2', 'object 2']);
  expect(items.findLastIndex((item) => item.kind === 'object' && item.id === '2')).toBeGreaterThan(
    items.findIndex((item) => item.kind === 'gone' && item.id === '2'),
  );
});

test('rows that are marked as deleted are gone, and come back', async () => {
  const block = { ...byXmin, deletions: { when: 'deleted' } };
  await admin.query('insert into person (id) values (1), (2)');
  const since = await marked(target, block);
  await admin.query('update person set deleted = true where id = 1');
  // While any other transaction of the server runs, rows that are older than the marker are given once more.
  expect(told(await changed(target, block, since)).filter((item) => item !== 'object 2')).toEqual(['gone 1']);
  expect(told(await listed(target, block))).toEqual(['object 2']);
  await admin.query('update person set deleted = false where id = 1');
  expect(told(await changed(target, block, since)).filter((item) => item !== 'object 2')).toEqual(['object 1']);
});

test('a key of several columns is one id and back, whatever is in it, and links by it', async () => {
  await admin.query(`create table seat (company text, number text, name text, boss_company text, boss_number text, primary key (company, number));
    insert into seat values ('a/b', '1%2F', 'One', null, null), ('a', 'b/1', 'Two', 'a/b', '1%2F')`);
  const block = { table: 'seat', key: ['company', 'number'], references: { manager: { columns: ['boss_company', 'boss_number'] } } };
  const items = await listed(target, block, { pageSize: 1 });
  expect(items.map((item) => item.kind === 'object' && [item.id, item.attributes.name, item.links])).toEqual([
    ['a/b%2F1', 'Two', { manager: ['a%2Fb/1%252F'] }],
    ['a%2Fb/1%252F', 'One', { manager: [] }],
  ]);
  await using session = await openPeople(target, block);
  const found = await session.readByIds('people', ['a%2Fb/1%252F', 'a/b%2F1', 'a/b/1']);
  expect([...found.values()].map(({ kind }) => kind)).toEqual(['found', 'found', 'gone']);
});

test('more links than are read at once come in slices', async () => {
  await admin.query(`create table grp_member (grp bigint, person bigint, primary key (grp, person)); insert into person (id) values (1), (2);
    insert into grp_member select 1, n from generate_series(1, 45000) n; insert into grp_member values (2, 7)`);
  const block = { table: 'person', key: 'id', links: { member: { table: 'grp_member', from: 'grp', to: 'person' } } };
  const slices = (await listed(target, block)).flatMap((item) => (item.kind === 'links' && item.id === '1' ? [item] : []));
  expect(slices.map(({ last }) => last)).toEqual([false, false, true]);
  expect(new Set(slices.flatMap(({ targets }) => targets)).size).toBe(45_000);
});

test('a query is read as it stands, and rows that leave it are asked for by id', async () => {
  await admin.query(
    `create table dept (code text primary key, title text); insert into dept values ('it', 'Computers'); insert into person (id, name, dept) values (1, 'A', 'it'), (2, 'B', 'it')`,
  );
  const block = {
    query: `select p.id, p.name, d.title, p.changed_at from person p join dept d on d.code = p.dept -- by department`,
    key: 'id',
    changes: byTime.changes,
  };
  await using refused = await openPeople(target, block);
  expect((await refused.check()).findings.at(-1)).toMatchObject({ severity: 'failure', failure: 'InvalidConfiguration' });
  const whole = { ...block, query: block.query.replace(' -- by department', '') };
  expect(attributesOf(await listed(target, whole, { attributes: ['title'] }))).toEqual({
    1: { title: 'Computers' },
    2: { title: 'Computers' },
  });
  await admin.query(`update person set dept = null where id = 1`);
  await using session = await openPeople(target, whole);
  expect([...(await session.readByIds('people', ['1', '2', '3', 'x'])).values()].map(({ kind }) => kind)).toEqual([
    'out-of-scope',
    'found',
    'out-of-scope',
    'out-of-scope',
  ]);
});

test('a key that two rows have, or that a row lacks, makes no listing', async () => {
  await admin.query(`create table loose (id int, name text); insert into loose values (1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')`);
  for (const pageSize of [1, 2, 3, 4]) {
    await expect(listed(target, { table: 'loose', key: 'id' }, { pageSize })).rejects.toMatchObject({
      type: 'ListingIncomplete',
      message: expect.stringContaining('same key'),
    });
  }
  await admin.query(`delete from loose where id = 2; insert into loose values (null, 'e')`);
  for (const pageSize of [1, 2, 3]) {
    await expect(listed(target, { table: 'loose', key: 'id' }, { pageSize })).rejects.toMatchObject({
      type: 'ListingIncomplete',
      message: expect.stringContaining('no value in its key'),
    });
  }
});

test('check finds what is missing and what is not safe to go by, each with a remedy', async () => {
  await admin.query(`create view people as table person; create table secret (id int); revoke select on secret from ${reader};
    create table guarded (id int); alter table guarded enable row level security`);
  const cases: readonly (readonly [Record<string, unknown>, string, string])[] = [
    [{ table: 'nobody', key: 'id' }, 'InvalidConfiguration', 'does not know a table'],
    [{ table: 'person', key: 'nr' }, 'InvalidConfiguration', 'no column nr'],
    [{ ...byTime, where: 'dept = = 1' }, 'InvalidConfiguration', 'does not accept'],
    [{ ...byTime, changes: { by: 'timestamp', column: 'name', lag: '1m' } }, 'InvalidConfiguration', 'holds no time'],
    [{ ...byTime, changes: { by: 'version', column: 'changed_at' } }, 'InvalidConfiguration', 'no whole number'],
    [{ ...byTime, changes: { by: 'rowversion', column: 'v' } }, 'InvalidConfiguration', 'has no rowversion'],
    [{ table: 'people', key: 'id', changes: { by: 'xmin' } }, 'InvalidConfiguration', 'views'],
    [{ table: 'secret', key: 'id' }, 'RightsMissing', 'does not let the account read'],
    [{ table: 'guarded', key: 'id' }, 'RightsMissing', 'does not let the account read'],
  ];
  for (const [block, failure, message] of cases) {
    expect(await failingCheck(target, block, { attributes: [] })).toMatchObject({
      failure,
      message: expect.stringContaining(message),
      remedy: expect.any(String),
    });
  }
  expect(await failingCheck(target, byTime, { attributes: ['nickname'] })).toMatchObject({
    message: expect.stringContaining('no column nickname'),
  });
  expect(await failingCheck(target, byTime)).toBeUndefined();
});

test('a wrong password, an unknown database, no TLS and a busy server are each told as what they are', async () => {
  await expect(openPeople({ ...target, password: 'wrong' }, byTime)).rejects.toMatchObject({ type: 'AuthenticationFailed' });
  const at = (settings: object) => openPeople({ ...target, settings: { ...target.settings, ...settings } }, byTime);
  await expect(at({ url: `postgres://${url.host}/nowhere` })).rejects.toMatchObject({ type: 'InvalidConfiguration' });
  await expect(at({ url: 'postgres://127.0.0.1:1/nowhere' })).rejects.toMatchObject({ type: 'SourceUnavailable' });
  await expect(at({ allowPlaintext: false })).rejects.toMatchObject({
    type: 'InvalidConfiguration',
    message: expect.stringContaining('no encrypted connection'),
  });
  await admin.query(`alter role ${reader} connection limit 1`);
  await using _ = await openPeople(target, byTime);
  await expect(openPeople(target, byTime)).rejects.toMatchObject({ type: 'RateLimited', details: { retryAfterMs: expect.any(Number) } });
  await admin.query(`alter role ${reader} connection limit -1`);
});
