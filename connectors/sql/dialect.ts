import type { Cell, Column } from './columns.ts';
import type { Answer, Parameter } from './database.ts';

export type DialectName = 'postgresql' | 'mysql' | 'h2' | 'sqlserver' | 'oracle' | 'standard';

/** What databases do each in their own way, whichever driver talks to them. */
export interface Dialect {
  readonly name: DialectName;
  /** How people call it. */
  readonly product: string;
  quote(identifier: string): string;
  /** What the database makes of a name that is not quoted. */
  fold(identifier: string): string;
  /** A place for a value; the column it is compared with tells what it is. */
  bind(value: string, column: Pick<Column, 'kind' | 'type'>, position: number): { readonly text: string; readonly parameter: Parameter };
  /** A statement that ends in `order by`, with at most so many rows. */
  limited(select: string, rows: number): string;
  /** Whether `(a, b) > (x, y)` is understood, and served by an index. */
  readonly comparesRows: boolean;
  /** An expression for the database's own time as UTC, now and not when a transaction began. */
  readonly utcNow: string;
  /** What stands behind a select list that reads no table. */
  readonly fromNothing: string;
  /** Settings of a session, made after signing in. */
  readonly session: readonly string[];
  /** What makes the database this one in this state; `undefined` if it can not tell. */
  identify?(ask: (text: string) => Promise<Answer>): Promise<string | undefined>;
  /** Asks for a text that another table under the same name does not have, nor the same one after it was emptied as a whole. */
  generation?(parts: readonly string[], bind: (text: string) => string): string;
}

const doubleQuoted = (identifier: string): string => `"${identifier.replaceAll('"', '""')}"`;

/** SQL:2008; what other databases differ in is said below. */
const standard: Dialect = {
  name: 'standard',
  product: 'the database',
  quote: doubleQuoted,
  fold: (identifier) => identifier.toUpperCase(),
  bind: (value, { kind }) => ({ text: '?', parameter: { value, kind } }),
  limited: (select, rows) => `${select} offset 0 rows fetch next ${rows} rows only`,
  comparesRows: false,
  utcNow: 'current_timestamp',
  fromNothing: '',
  session: [],
};

const postgresql: Dialect = {
  ...standard,
  name: 'postgresql',
  product: 'PostgreSQL',
  fold: (identifier) => identifier.toLowerCase(),
  // The server makes out what an untyped text is compared with.
  bind: (value, _, position) => ({ text: `$${position}`, parameter: { value, kind: 'other' } }),
  limited: (select, rows) => `${select} limit ${rows}`,
  comparesRows: true,
  utcNow: 'clock_timestamp()',
  // Policies would hide rows without an error; without row_security they end the statement with one.
  session: [
    "set default_transaction_read_only = on; set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set bytea_output = hex; set row_security = off",
  ],
  async identify(ask) {
    const text = `select (select system_identifier from pg_control_system())::text || '/' ||
      case when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())::text
           else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end || '/' ||
      (select oid from pg_database where datname = current_database())::text`;
    return single(await ask(text)) ?? undefined;
  },
  generation: (parts, bind) =>
    `select c.oid::text || '/' || coalesce(pg_relation_filenode(c.oid), 0)::text
       from pg_class c where c.oid = to_regclass(${bind(parts.map(doubleQuoted).join('.'))})`,
};

const mysql: Dialect = {
  ...standard,
  name: 'mysql',
  product: 'MySQL or MariaDB',
  quote: (identifier) => `\`${identifier.replaceAll('`', '``')}\``,
  fold: (identifier) => identifier,
  bind(value, { kind, type }) {
    const as = (text: string, given = value) => ({ text, parameter: { value: given, kind: 'text' as const } });
    // A text that is compared with a number makes both approximate.
    switch (kind) {
      case 'boolean':
        return as('cast(? as signed)', value === 'true' ? '1' : '0');
      case 'integer':
      case 'bigint':
        return as(/unsigned/i.test(type) ? 'cast(? as unsigned)' : 'cast(? as signed)');
      case 'decimal':
        return as('cast(? as decimal(65, 30))');
      case 'float':
        return as('(? + 0e0)');
      case 'date':
        return as('cast(? as date)', value.slice(0, 10));
      case 'timestamp':
      case 'instant':
        return as('cast(? as datetime(6))', value.replace('T', ' ').replace('Z', ''));
      case 'binary':
        return as('from_base64(?)');
      default:
        return as('?');
    }
  },
  limited: (select, rows) => `${select} limit ${rows}`,
  utcNow: 'utc_timestamp(6)',
  session: ["set time_zone = '+00:00'", 'set session transaction isolation level repeatable read, read only'],
  async identify(ask) {
    const { rows } = await ask(
      "show variables where variable_name in ('server_uuid', 'server_uid', 'hostname', 'port', 'datadir', 'server_id')",
    );
    const variables = new Map(rows.map(([name, value]) => [name, value]));
    const server =
      variables.get('server_uuid') ??
      variables.get('server_uid') ??
      ['hostname', 'port', 'datadir', 'server_id'].map((name) => variables.get(name)).join(':');
    return `${server}/${single(await ask('select database()'))}`;
  },
  generation: ([...parts], bind) => {
    const table = parts.pop() ?? '';
    const [schema] = parts;
    return `select cast(create_time as char) from information_schema.tables
      where table_name = ${bind(table)} and table_schema = ${schema === undefined ? 'database()' : bind(schema)}`;
  },
};

const h2: Dialect = { ...standard, name: 'h2', product: 'H2' };

const sqlserver: Dialect = {
  ...standard,
  name: 'sqlserver',
  product: 'SQL Server',
  quote: (identifier) => `[${identifier.replaceAll(']', ']]')}]`,
  fold: (identifier) => identifier,
  utcNow: 'sysutcdatetime()',
  async identify(ask) {
    const text = `select convert(varchar(36), database_guid) + '/' + convert(varchar(36), recovery_fork_guid)
      from sys.database_recovery_status where database_id = db_id()`;
    return single(await ask(text)) ?? undefined;
  },
};

const oracle: Dialect = {
  ...standard,
  name: 'oracle',
  product: 'Oracle Database',
  utcNow: 'sys_extract_utc(systimestamp)',
  fromNothing: ' from dual',
  async identify(ask) {
    return single(await ask(`select to_char(dbid) || '/' || to_char(resetlogs_change#) from v$database`)) ?? undefined;
  },
};

export const dialects: Readonly<Record<DialectName, Dialect>> = { postgresql, mysql, h2, sqlserver, oracle, standard };

/** The only value of an answer of one row and one column. */
export function single({ rows }: Answer): Cell {
  return rows[0]?.[0] ?? null;
}
