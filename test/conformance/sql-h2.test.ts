import { afterAll, beforeAll } from 'vitest';
import { sql } from '../../connectors/sql/index.ts';
import { conforms } from '../support/conforms.ts';
import { jars, startH2 } from '../support/jdbc.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import type { ConformanceHarness } from './index.ts';
import { type Following, type SqlPlace, type SqlServer, sqlSource } from './sql-source.ts';

/** What the kit can't show of a database; the tests of the connector show it otherwise. */
const notShown: readonly string[] = ['repeated-object', 'empty-page', 'rate-limit', 'many-values'];

/** Times of change, with what the writers vouch for, rows that are marked as deleted, and a table of changes. */
function byTimestamp({ schema }: SqlPlace): Following {
  const order = { by: 'timestamp', column: 'changed_at', lag: '1m' };
  const log = { ...order, table: `${schema}grp_log`, key: 'id', keeps: '30d' };
  return {
    users: { changes: { ...order, keeps: '30d' }, deletions: { when: 'deleted_at is not null' } },
    groups: { changes: log },
    members: log,
    keepsRows: true,
  };
}

const undo = new AsyncDisposableStack();
let harness: ConformanceHarness;

beforeAll(async () => {
  const { host, port, database, write } = undo.use(await startH2());
  const proxy = undo.use(await startTcpProxy({ host, port }));
  let number = 0;
  const server: SqlServer = {
    proxy,
    async newPlace() {
      const schema = `kit_${++number}`;
      const reader = `reader_${number}`;
      const password = 'Ordinary.Account.1';
      await write([[`create schema ${schema}`], [`create user ${reader} password '${password}'`]]);
      return {
        settings: {
          url: `jdbc:h2:tcp://${host}:${proxy.port}/${database}`,
          jdbc: { jars: [jars.h2] },
          user: reader,
          password: { env: 'PASSWORD' },
        },
        password,
        schema: `${schema}.`,
        types: { text: 'varchar(4000)', instant: 'timestamp(9) with time zone' },
        write: (...statements) =>
          write(
            statements.flatMap((statement) => {
              const [, table] = /^create table (\S+)/.exec(statement[0]) ?? [];
              return table === undefined ? [statement] : [statement, [`grant select on ${table} to ${reader}`] as const];
            }),
          ),
        changePassword: () => write([[`alter user ${reader} set password 'Another.Password.1'`]]),
        revoke: (table) => write([[`revoke select on ${schema}.${table} from ${reader}`]]),
        dispose: () => write([[`drop schema ${schema} cascade`], [`drop user ${reader}`]]),
      };
    },
  };
  harness = { connector: sql, pageSize: 4, newSource: () => sqlSource(server, byTimestamp) } as ConformanceHarness;
});
afterAll(() => undo.disposeAsync());

conforms(() => harness, notShown, 6);
