import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Found, objectOf } from '../../../model/item.ts';
import { installJdbc, jars } from '../../support/jdbc.ts';
import { startMariaDb } from '../../support/mariadb.ts';
import { createDatabase } from '../../support/postgres.ts';
import { changed, failingCheck, listed, marked, openPeople, type SqlTarget, told } from './support.ts';

const password = 'Ordinary.Account.1';
const undo = new AsyncDisposableStack();

/** The same database once through the driver in this process, and once through Java. */
interface Pair {
  readonly direct: SqlTarget;
  readonly jdbc: SqlTarget;
  write(text: string): Promise<unknown>;
}

const pairs: Record<string, Pair> = {};

/** Answers with what they found. */
function contentOf(answers: ReadonlyMap<string, Found>): readonly unknown[] {
  return [...answers].map(([id, found]) => [id, found.kind === 'found' ? objectOf(found.item) : found]);
}

beforeAll(async () => {
  await installJdbc();
  const database = undo.use(await createDatabase());
  const url = new URL(database.url);
  const user = decodeURIComponent(url.username);
  const secret = decodeURIComponent(url.password);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  undo.defer(() => client.end());
  pairs.PostgreSQL = {
    direct: { password: secret, settings: { url: `postgres://${url.host}${url.pathname}`, user, allowPlaintext: true } },
    jdbc: { password: secret, settings: { url: `jdbc:postgresql://${url.host}${url.pathname}`, user, jdbc: { jars: [jars.postgresql] } } },
    write: (text) => client.query(text),
  };
  const mariadb = undo.use(await startMariaDb());
  await mariadb.admin.query(
    `create database hr character set utf8mb4; use hr; create user reader@'%' identified by '${password}'; grant select on hr.* to reader@'%'`,
  );
  const properties = { sslMode: 'verify-ca', serverSslCert: mariadb.caFile };
  pairs.MariaDB = {
    direct: { password, settings: { url: `mysql://localhost:${mariadb.port}/hr`, caFile: mariadb.caFile } },
    jdbc: { password, settings: { url: `jdbc:mariadb://${mariadb.host}:${mariadb.port}/hr`, jdbc: { jars: [jars.mariadb], properties } } },
    write: (text) => mariadb.admin.query(text),
  };
}, 300_000);
afterAll(() => undo.disposeAsync());

describe.each([
  ['PostgreSQL', 'timestamptz', 'timestamp', 'bytea', 'boolean'],
  ['MariaDB', 'timestamp(6)', 'datetime(6)', 'varbinary(8)', 'tinyint(1)'],
] as const)('%s through JDBC', (name, instant, timestamp, binary, boolean) => {
  const block = {
    table: 'person',
    key: ['company', 'id'],
    lookupKey: 'name',
    where: "name <> 'hidden'",
    changes: { by: 'timestamp', column: 'changed_at', lag: '1s' },
  };
  const attributes = ['name', 'changed_at', 'local_at', 'pay', 'days', 'raw', 'active', 'born', 'share'];
  const pair = (): Pair => pairs[name] as Pair;

  test('gives what the driver in this process gives, completely, as changes and by ids', async () => {
    const { direct, jdbc, write } = pair();
    await write(`create table person (company varchar(20), id bigint, name varchar(100), changed_at ${instant} default current_timestamp, local_at ${timestamp},
      pay decimal(30, 20), days int, raw ${binary}, active ${boolean}, born date, share double precision, primary key (company, id))`);
    await write(`insert into person (company, id, name, local_at, pay, days, active, born, share)
      values ('a/b', 9007199254740993, 'Zoë 你好 😀', '2026-03-29 02:30:00.000001', 0.10000000000000000055, -7, true, '1980-02-29', 0.1)`);
    // Fractions that end in zeros are written in one way.
    await write(`update person set changed_at = '2026-01-02 03:04:05.120000'`);
    for (let id = 1; id <= 7; id += 1) await write(`insert into person (company, id, name) values ('c', ${id}, 'P${id}')`);
    expect(await listed(jdbc, block, { attributes })).toEqual(await listed(direct, block, { attributes }));
    const [since, other] = [await marked(direct, block), await marked(jdbc, block)];
    expect({ ...other, takenAt: '', server: other.server.id }).toEqual({ ...since, takenAt: '', server: since.server.id });
    await write(`update person set name = 'hidden', changed_at = current_timestamp where id = 3`);
    await write(`update person set pay = null, changed_at = current_timestamp where id = 4`);
    const given = await changed(jdbc, block, other, { attributes });
    expect(given).toEqual(await changed(direct, block, since, { attributes }));
    expect(told(given)).toContain('unmatched c/3');
    const ids = ['c/3', 'c/4', 'c/99', 'a%2Fb/9007199254740993', 'nonsense'];
    await using through = await openPeople(jdbc, block, { attributes });
    await using past = await openPeople(direct, block, { attributes });
    expect(contentOf(await through.readByIds('people', ids))).toEqual(contentOf(await past.readByIds('people', ids)));
  }, 120_000);

  test('tells a wrong password, a missing table and a missing column as what they are', async () => {
    const { jdbc } = pair();
    await expect(openPeople({ ...jdbc, password: 'wrong' }, block)).rejects.toMatchObject({ type: 'AuthenticationFailed' });
    expect(await failingCheck(jdbc, { table: 'nobody', key: 'id' })).toMatchObject({ failure: 'InvalidConfiguration' });
    expect(await failingCheck(jdbc, { ...block, where: 'nothing = 1' })).toMatchObject({ failure: 'InvalidConfiguration' });
  });
});

test('a cancelled session leaves the others their Java process', async () => {
  const { jdbc } = pairs.PostgreSQL as Pair;
  const block = { query: 'select 1 as id, pg_sleep(60)::text as name', key: 'id' };
  const stop = new AbortController();
  await using other = await openPeople(jdbc, { query: 'select 1 as id, 2 as name', key: 'id' });
  await using session = await openPeople(jdbc, block, { signal: stop.signal });
  const read = session.readByIds('people', ['1']);
  stop.abort(new Error('cancelled by the test'));
  await expect(read).rejects.toThrow('cancelled by the test');
  expect((await other.readByIds('people', ['1'])).get('1')?.kind).toBe('found');
});

test('a missing java, and jars without a driver for the address, are told with what to do', async () => {
  const { jdbc } = pairs.PostgreSQL as Pair;
  const at = (settings: object) => openPeople({ ...jdbc, settings: { ...jdbc.settings, ...settings } }, { table: 'person', key: 'id' });
  await expect(at({ jdbc: { jars: [jars.postgresql], java: '/nowhere/java' } })).rejects.toMatchObject({
    type: 'InvalidConfiguration',
    details: { remedy: expect.stringContaining('JDK') },
  });
  await expect(at({ jdbc: { jars: [jars.h2] } })).rejects.toMatchObject({
    type: 'InvalidConfiguration',
    message: expect.stringContaining('None of the jars'),
  });
});
