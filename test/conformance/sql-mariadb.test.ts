import { afterAll, beforeAll } from 'vitest';
import { sql } from '../../connectors/sql/index.ts';
import { conforms } from '../support/conforms.ts';
import { startMariaDb } from '../support/mariadb.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import type { ConformanceHarness } from './index.ts';
import { type Following, type SqlPlace, type SqlServer, sqlSource } from './sql-source.ts';

/** What the kit can't show of a database; the tests of the connector show it otherwise. */
const notShown: readonly string[] = ['repeated-object', 'empty-page', 'rate-limit', 'many-values'];

/** Versions in the order of commits, and tables of changes and of what was removed. */
function byVersion({ schema }: SqlPlace): Following {
  const log = { by: 'version', column: 'v', lag: 0, table: `${schema}grp_log`, key: 'id' };
  return {
    users: {
      changes: { by: 'version', column: 'v', lag: 0 },
      deletions: { table: `${schema}person_deleted`, key: 'id', keeps: '30d' },
    },
    groups: { changes: log },
    members: log,
  };
}

const undo = new AsyncDisposableStack();
let harness: ConformanceHarness;

beforeAll(async () => {
  const { admin, host, port } = undo.use(await startMariaDb());
  const proxy = undo.use(await startTcpProxy({ host, port }));
  let number = 0;
  const server: SqlServer = {
    proxy,
    async newPlace() {
      const schema = `kit_${++number}`;
      const reader = `'reader_${number}'@'%'`;
      const password = 'Ordinary.Account.1';
      await admin.query(`create database ${schema} character set utf8mb4; create user ${reader} identified by '${password}'`);
      return {
        settings: {
          url: `mysql://${host}:${proxy.port}/${schema}`,
          user: `reader_${number}`,
          password: { env: 'PASSWORD' },
          allowPlaintext: true,
        },
        password,
        schema: `${schema}.`,
        types: { text: 'text', instant: 'timestamp(6) null' },
        async write(...statements) {
          await admin.query('start transaction');
          for (const [text, ...values] of statements) {
            await admin.query(text, values);
            const [, table] = /^create table (\S+)/.exec(text) ?? [];
            if (table !== undefined) await admin.query(`grant select on ${table} to ${reader}`);
          }
          await admin.query('commit');
        },
        changePassword: async () => void (await admin.query(`set password for ${reader} = password('Another.Password.1')`)),
        revoke: async (table) => void (await admin.query(`revoke select on ${schema}.${table} from ${reader}`)),
        dispose: async () => void (await admin.query(`drop database ${schema}; drop user ${reader}`)),
      };
    },
  };
  harness = { connector: sql, pageSize: 4, newSource: () => sqlSource(server, byVersion) } as ConformanceHarness;
});
afterAll(() => undo.disposeAsync());

conforms(() => harness, notShown, 6);
