import { readFileSync } from 'node:fs';
import pg from 'pg';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Cell, Column, ColumnKind } from './columns.ts';
import { type Connect, guarded } from './connection.ts';
import { dialects } from './dialect.ts';
import { codeOf, databaseFailure, refusalOfSocket, refusalOfState } from './failures.ts';

/** Types by their OIDs, which are the same everywhere (pg_type.dat). Others are given as PostgreSQL writes them. */
const types: Readonly<Record<number, readonly [ColumnKind, string]>> = {
  16: ['boolean', 'boolean'],
  17: ['binary', 'bytea'],
  20: ['bigint', 'bigint'],
  21: ['integer', 'smallint'],
  23: ['integer', 'integer'],
  25: ['text', 'text'],
  26: ['bigint', 'oid'],
  700: ['float', 'real'],
  701: ['float', 'double precision'],
  1042: ['text', 'character'],
  1043: ['text', 'character varying'],
  1082: ['date', 'date'],
  1114: ['timestamp', 'timestamp without time zone'],
  1184: ['instant', 'timestamp with time zone'],
  1700: ['decimal', 'numeric'],
  2950: ['uuid', 'uuid'],
};

/** Array types of PostgreSQL's own. */
const arrayTypes = new Set([1000, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1115, 1182, 1185, 1231, 1003, 2951]);

const parseArray = pg.types.getTypeParser(1009 as never) as (text: string) => readonly unknown[];

type Answered = pg.QueryArrayResult<Cell[]>;

/** Signs in to PostgreSQL with the package pg. */
export const connectPostgresql: Connect = async ({ address, settings, password, signal, pace }) => {
  const { host, port = 5432, database } = address;
  const name = `${host}:${port}/${database}`;
  const client = new pg.Client({
    host,
    port,
    database,
    user: settings.user,
    password,
    application_name: 'tidemark',
    keepAlive: true,
    connectionTimeoutMillis: settings.connectTimeout,
    statement_timeout: settings.requestTimeout,
    // Everything stays as the server writes it.
    types: { getTypeParser: () => (text: unknown) => text },
    ssl: settings.allowPlaintext
      ? false
      : { rejectUnauthorized: true, ...(settings.caFile === undefined ? {} : { ca: readFileSync(settings.caFile, 'utf8') }) },
  });
  // An error while nothing is asked shows with the next statement.
  client.on('error', () => undefined);
  const destroy = () => client.connection.stream.destroy();
  const fail = (error: unknown, what: string): TidemarkFailure => failureOf(error, name, what);
  return guarded({
    dialect: dialects.postgresql,
    name,
    settings,
    signal,
    ...(pace === undefined ? {} : { pace }),
    fail,
    destroy,
    open: async () => {
      await client.connect();
    },
    close: () => client.end(),
    async send({ text, parameters }) {
      const values = parameters.map(({ value }) => value);
      // Several statements in one text have an answer each.
      const answer = (await client.query<Cell[]>({ text, values, rowMode: 'array' })) as Answered | readonly Answered[];
      const { rows, fields } = 'rows' in answer ? answer : (answer.at(-1) as Answered);
      const columns = fields.map(columnOf);
      const lists = fields.map(({ dataTypeID }) => arrayTypes.has(dataTypeID));
      // Most columns are texts, which stay as they are.
      const converted = columns.flatMap(({ kind }, index) => (lists[index] || convertedKinds.has(kind) ? [index] : []));
      for (const row of rows) {
        for (const index of converted) row[index] = cellOf(row[index] ?? null, columns[index]?.kind ?? 'other', lists[index] ?? false);
      }
      return { columns, rows };
    },
    begin: 'begin isolation level repeatable read, read only',
  });
};

function columnOf({ name, dataTypeID }: pg.FieldDef): Column {
  if (arrayTypes.has(dataTypeID)) return { name, kind: 'list', type: 'array' };
  const [kind, type] = types[dataTypeID] ?? (['other', `type ${dataTypeID}`] as const);
  return { name, kind, type };
}

/** Kinds whose values PostgreSQL writes in another form than {@link Cell} asks for. */
const convertedKinds: ReadonlySet<ColumnKind> = new Set(['boolean', 'binary', 'timestamp', 'instant']);

function cellOf(cell: Cell, kind: ColumnKind, isList: boolean): Cell {
  if (cell === null) return null;
  if (isList)
    return JSON.stringify(
      parseArray(cell)
        .flat(Number.POSITIVE_INFINITY)
        .filter((value) => value !== null)
        .map(String),
    );
  switch (kind) {
    case 'boolean':
      return cell === 't' ? 'true' : 'false';
    case 'binary':
      return Buffer.from(cell.slice(2), 'hex').toString('base64');
    case 'timestamp':
      return cell.replace(' ', 'T');
    case 'instant':
      return cell.replace(' ', 'T').replace(/\+00$/, 'Z');
    default:
      return cell;
  }
}

function failureOf(error: unknown, name: string, what: string): TidemarkFailure {
  const code = codeOf(error);
  const isState = /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
  const message = error instanceof Error ? error.message : '';
  if (/does not support SSL/.test(message)) {
    return new TidemarkFailure('InvalidConfiguration', `${name} offers no encrypted connection`, {
      remedy: 'Switch TLS on in the server; in a closed network set allowPlaintext: true.',
    });
  }
  const refusal = isState ? (refusalOfState(code) ?? 'unavailable') : refusalOfSocket(code);
  return databaseFailure(refusal, name, what, code, error);
}
