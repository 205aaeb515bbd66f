import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { sql } from '../../connectors/sql/index.ts';
import { conforms } from '../support/conforms.ts';
import { createDatabase } from '../support/postgres.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import type { ConformanceHarness } from './index.ts';
import { type Following, type SqlPlace, type SqlServer, sqlSource } from './sql-source.ts';

/** What the kit can't show of a database; the tests of the connector show it otherwise. */
const notShown: readonly string[] = ['repeated-object', 'empty-page', 'rate-limit'];

/** Row versions of the transactions that wrote them, and tables of what was removed. */
function byXmin({ schema }: SqlPlace): Following {
  const log = { by: 'xmin', table: `${schema}grp_log`, key: 'id' };
  return {
    users: { changes: { by: 'xmin' }, deletions: { table: `${schema}person_deleted`, key: 'id', keeps: '30d' } },
    groups: { changes: log },
    members: { ...log },
  };
}

const undo = new AsyncDisposableStack();
let harness: ConformanceHarness;

beforeAll(async () => {
  const database = undo.use(await createDatabase());
  const url = new URL(database.url);
  const admin = new pg.Client({ connectionString: database.url });
  await admin.connect();
  undo.defer(() => admin.end());
  const proxy = undo.use(await startTcpProxy({ host: url.hostname, port: Number(url.port) }));
  let number = 0;
  const server: SqlServer = {
    proxy,
    async newPlace() {
      const schema = `kit_${++number}`;
      const reader = `reader_${randomBytes(6).toString('hex')}`;
      const password = 'Ordinary.Account.1';
      await admin.query(`create schema ${schema}; create role ${reader} login password '${password}'; grant usage on schema ${schema} to ${reader};
        alter default privileges in schema ${schema} grant select on tables to ${reader}`);
      return {
        settings: {
          url: `postgres://127.0.0.1:${proxy.port}${url.pathname}`,
          user: reader,
          password: { env: 'PASSWORD' },
          allowPlaintext: true,
        },
        password,
        schema: `${schema}.`,
        types: { text: 'text', instant: 'timestamptz', list: 'text[]' },
        async write(...statements) {
          await admin.query('begin');
          for (const [text, ...values] of statements) {
            let place = 0;
            await admin.query(
              text.replace(/\?/g, () => `$${++place}`),
              values,
            );
          }
          await admin.query('commit');
        },
        changePassword: async () => void (await admin.query(`alter role ${reader} password 'Another.Password.1'`)),
        revoke: async (table) => void (await admin.query(`revoke select on ${schema}.${table} from ${reader}`)),
        dispose: async () => void (await admin.query(`drop schema ${schema} cascade; drop owned by ${reader}; drop role ${reader}`)),
      };
    },
  };
  harness = { connector: sql, pageSize: 4, newSource: () => sqlSource(server, byXmin) } as ConformanceHarness;
});
afterAll(() => undo.disposeAsync());

conforms(() => harness, notShown, 6);
