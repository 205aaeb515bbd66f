import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MariaDb, startMariaDb } from '../../support/mariadb.ts';
import { makeCertificates } from '../../support/test-certificates.ts';
import { attributesOf, changed, doubt, failingCheck, listed, marked, openPeople, type SqlTarget, told } from './support.ts';

const password = 'Ordinary.Account.1';
const undo = new AsyncDisposableStack();
let server: MariaDb;
let target: SqlTarget;

beforeAll(async () => {
  server = undo.use(await startMariaDb());
  await server.admin.query(`create database hr character set utf8mb4; use hr;
    create user reader@'%' identified by '${password}'; grant select on hr.* to reader@'%';
    create table person (id bigint unsigned primary key, name text, v bigint, seen datetime(6), stamped timestamp(6) null, pay decimal(30, 20), born date,
      active tinyint(1), raw varbinary(8), days int unsigned);
    create table loose (id varchar(20), at time)`);
  target = { password, settings: { url: `mysql://localhost:${server.port}/hr`, caFile: server.caFile } };
}, 300_000);
afterAll(() => undo.disposeAsync());

const byVersion = { table: 'person', key: 'id', changes: { by: 'version', column: 'v', lag: 0 } };

test('rows that share one version are all given, wherever a page ends', async () => {
  await server.admin.query(`insert into person (id, v) values (1, 6), (2, 7), (3, 7), (4, 7), (5, 7), (6, 7), (7, 8), (8, 8)`);
  const since = await marked(target, byVersion);
  const at = (position: number) => ({ ...since, position: since.position.replace('"8"', `"${position}"`) });
  for (const pageSize of [1, 2, 3, 4, 6, 7]) expect(told(await changed(target, byVersion, at(7), { pageSize }))).toHaveLength(7);
});

test('values keep the precision of the database, over an encrypted connection', async () => {
  await server.admin.query(`set time_zone = '+02:00'; insert into person (id, v, seen, stamped, pay, born, active, raw, days)
    values (18446744073709551615, 9, '2026-01-02 03:04:05.000001', '2026-01-02 03:04:05.683724', 0.10000000000000000055, '1980-02-29', 1, x'00ff', 4294967295)`);
  const attributes = ['seen', 'stamped', 'pay', 'born', 'active', 'raw', 'days', 'name'];
  expect(attributesOf(await listed(target, byVersion, { attributes }))['18446744073709551615']).toEqual({
    seen: '2026-01-02T03:04:05.000001',
    stamped: '2026-01-02T01:04:05.683724Z',
    pay: '0.10000000000000000055',
    born: '1980-02-29',
    active: true,
    raw: 'AP8=',
    days: 4_294_967_295,
  });
  await using session = await openPeople(target, byVersion);
  expect((await session.check()).findings.map(({ subject }) => subject)).toEqual(['sign-in', 'columns']);
  expect((await session.readByIds('people', ['18446744073709551615'])).get('18446744073709551615')?.kind).toBe('found');
});

test('times go by the zone that is declared', async () => {
  const block = (column: string, timezone?: string) => ({
    table: 'person',
    key: 'id',
    changes: { by: 'timestamp', column, lag: '1m', ...(timezone ? { timezone } : {}) },
  });
  expect(await failingCheck(target, block('seen'))).toMatchObject({
    failure: 'InvalidConfiguration',
    remedy: expect.stringContaining('timezone'),
  });
  expect(await failingCheck(target, block('stamped'))).toBeUndefined();
  await server.admin.query(
    `update person set seen = null, stamped = null; update person set seen = '2025-10-26 02:55' where id = 1; delete from person where id > 1`,
  );
  const since = await marked(target, block('seen', 'Europe/Berlin'));
  await server.admin.query(`insert into person (id, seen) values (2, '2025-10-26 02:10')`);
  expect(told(await changed(target, block('seen', 'Europe/Berlin'), since))).toEqual(['object 1', 'object 2']);
});

test('a table that was set back, or made anew, is noticed', async () => {
  await server.admin.query('update person set v = 50');
  const since = await marked(target, byVersion);
  expect(await doubt(target, byVersion, since)).toBe('');
  await server.admin.query('update person set v = 49');
  expect(await doubt(target, byVersion, since)).toContain('set back to an earlier state');
  // The server keeps the time of creation in whole seconds.
  await server.admin.query(
    'do sleep(1.1); create table anew like person; drop table person; rename table anew to person; insert into person (id, v) values (1, 60)',
  );
  expect(await doubt(target, byVersion, since)).toContain('emptied, rewritten or made anew');
});

test('what is wrong is told as what it is', async () => {
  const at = (settings: object, secret = password) =>
    openPeople({ password: secret, settings: { ...target.settings, ...settings } }, byVersion);
  await expect(at({}, 'wrong')).rejects.toMatchObject({ type: 'AuthenticationFailed' });
  await expect(at({ url: `mysql://${server.host}:1/hr` })).rejects.toMatchObject({ type: 'SourceUnavailable' });
  await expect(at({ url: `mysql://localhost:${server.port}/payroll` })).rejects.toMatchObject({ type: 'RightsMissing' });
  await using another = undo.use({
    directory: await mkdtemp(join(tmpdir(), 'tidemark-ca-')),
    async [Symbol.asyncDispose]() {
      await rm(this.directory, { recursive: true, force: true });
    },
  });
  await makeCertificates(another.directory, 'elsewhere.example', server.host);
  await expect(at({ caFile: join(another.directory, 'ca.pem') })).rejects.toMatchObject({
    type: 'InvalidConfiguration',
    message: expect.stringContaining('not trusted'),
  });
  expect(await failingCheck(target, { table: 'nobody', key: 'id' })).toMatchObject({ failure: 'InvalidConfiguration' });
  expect(await failingCheck(target, { table: 'mysql.user', key: 'User' }, { attributes: [] })).toMatchObject({ failure: 'RightsMissing' });
  expect(
    await failingCheck(target, { table: 'loose', key: 'id', changes: { by: 'timestamp', column: 'at' } }, { attributes: [] }),
  ).toMatchObject({ message: expect.stringContaining('holds no time') });
});
