import { readFileSync } from 'node:fs';
import { createConnection, type FieldPacket, type RowDataPacket } from 'mysql2/promise';
import type { TidemarkFailure } from '../../model/failure.ts';
import type { Cell, Column, ColumnKind } from './columns.ts';
import { type Connect, guarded } from './connection.ts';
import { dialects } from './dialect.ts';
import { codeOf, databaseFailure, type Refusal, refusalOfSocket, refusalOfState } from './failures.ts';

/** Types of the protocol (Protocol::ColumnType). */
const kinds: Readonly<Record<number, readonly [ColumnKind, string]>> = {
  0: ['decimal', 'decimal'],
  1: ['integer', 'tinyint'],
  2: ['integer', 'smallint'],
  3: ['integer', 'int'],
  4: ['float', 'float'],
  5: ['float', 'double'],
  7: ['instant', 'timestamp'],
  8: ['bigint', 'bigint'],
  9: ['integer', 'mediumint'],
  10: ['date', 'date'],
  12: ['timestamp', 'datetime'],
  13: ['integer', 'year'],
  16: ['binary', 'bit'],
  246: ['decimal', 'decimal'],
};
const blobTypes = new Set([249, 250, 251, 252, 253, 254]);
/** The character set of what is no text. */
const binaryCharset = 63;
const unsignedFlag = 32;

/** Signs in to MySQL or MariaDB with the package mysql2. */
export const connectMysql: Connect = async ({ address, settings, password, signal, pace }) => {
  const { host, port = 3306, database } = address;
  const name = `${host}:${port}/${database}`;
  let connection: Awaited<ReturnType<typeof createConnection>> | undefined;
  let cancelled = false;
  const run = async (text: string, values: readonly string[] = []): Promise<readonly [readonly Cell[][], readonly FieldPacket[]]> => {
    if (connection === undefined) throw new Error('the connection is not open');
    const statement = { sql: text, rowsAsArray: true };
    // Not every statement can be prepared.
    const answer =
      values.length === 0 ? connection.query<RowDataPacket[][]>(statement) : connection.execute<RowDataPacket[][]>(statement, [...values]);
    const [rows, fields] = await answer;
    return [Array.isArray(rows) ? (rows as unknown as Cell[][]) : [], fields ?? []];
  };
  return guarded({
    dialect: dialects.mysql,
    name,
    settings,
    signal,
    ...(pace === undefined ? {} : { pace }),
    fail: (error, what) => failureOf(error, name, what),
    destroy() {
      cancelled = true;
      connection?.destroy();
    },
    async open() {
      const opened = await createConnection({
        host,
        port,
        database,
        user: settings.user ?? '',
        password,
        charset: 'utf8mb4',
        timezone: 'Z',
        connectTimeout: settings.connectTimeout,
        dateStrings: true,
        supportBigNumbers: true,
        bigNumberStrings: true,
        jsonStrings: true,
        ...(settings.allowPlaintext
          ? {}
          : {
              ssl: {
                rejectUnauthorized: true,
                verifyIdentity: true,
                ...(settings.caFile === undefined ? {} : { ca: readFileSync(settings.caFile, 'utf8') }),
              },
            }),
      });
      // An error while nothing is asked shows with the next statement.
      opened.on('error', () => undefined);
      connection = opened;
      if (cancelled) opened.destroy();
    },
    close: async () => connection?.end(),
    async send({ text, parameters }) {
      const [rows, fields] = await run(
        text,
        parameters.map(({ value }) => value),
      );
      const columns = fields.map(columnOf);
      return { columns, rows: rows.map((row) => row.map((cell, index) => cellOf(cell, columns[index]?.kind ?? 'other'))) };
    },
    begin: 'start transaction with consistent snapshot, read only',
  });
};

function columnOf(field: FieldPacket): Column {
  const { name } = field;
  const type = field.columnType ?? field.type ?? -1;
  const isUnsigned = (Number(field.flags) & unsignedFlag) !== 0;
  if (type === 1 && field.columnLength === 1) return { name, kind: 'boolean', type: 'tinyint(1)' };
  if (blobTypes.has(type)) {
    return field.characterSet === binaryCharset ? { name, kind: 'binary', type: 'blob' } : { name, kind: 'text', type: 'text' };
  }
  const [kind, of] = kinds[type] ?? (['other', `type ${type}`] as const);
  return { name, kind, type: isUnsigned ? `${of} unsigned` : of };
}

function cellOf(cell: unknown, kind: ColumnKind): Cell {
  if (cell === null || cell === undefined) return null;
  if (Buffer.isBuffer(cell)) return kind === 'text' || kind === 'other' ? cell.toString('utf8') : cell.toString('base64');
  const text = String(cell);
  switch (kind) {
    case 'boolean':
      return text === '0' ? 'false' : 'true';
    case 'timestamp':
      return readingOf(text);
    case 'instant':
      return `${readingOf(text)}Z`;
    default:
      return text;
  }
}

/** Without the zeros that fill a fraction up to the column's precision, as other databases write it. */
function readingOf(text: string): string {
  return text.replace(' ', 'T').replace(/\.?0+$/, (zeros, at: number) => (text.lastIndexOf('.', at) >= 0 ? '' : zeros));
}

const refusals: Readonly<Record<string, Refusal>> = {
  ER_ACCESS_DENIED_ERROR: 'sign-in',
  ER_MUST_CHANGE_PASSWORD_LOGIN: 'sign-in',
  ER_ACCOUNT_HAS_BEEN_LOCKED: 'sign-in',
  ER_DBACCESS_DENIED_ERROR: 'rights',
  ER_TABLEACCESS_DENIED_ERROR: 'rights',
  ER_COLUMNACCESS_DENIED_ERROR: 'rights',
  ER_BAD_DB_ERROR: 'missing',
  ER_NO_SUCH_TABLE: 'missing',
  ER_BAD_FIELD_ERROR: 'missing',
  ER_PARSE_ERROR: 'rejected',
  ER_CON_COUNT_ERROR: 'busy',
  ER_TOO_MANY_USER_CONNECTIONS: 'busy',
  ER_USER_LIMIT_REACHED: 'busy',
  ER_QUERY_TIMEOUT: 'too-slow',
  ER_STATEMENT_TIMEOUT: 'too-slow',
  HANDSHAKE_NO_SSL_SUPPORT: 'certificate',
};

function failureOf(error: unknown, name: string, what: string): TidemarkFailure {
  const code = codeOf(error);
  const state = typeof error === 'object' && error !== null && 'sqlState' in error ? String(error.sqlState) : '';
  // One code for all that can go wrong with TLS, a broken connection too.
  const isUntrusted = code === 'HANDSHAKE_SSL_ERROR' && /certificate|altnames/i.test(error instanceof Error ? error.message : '');
  const refusal = isUntrusted
    ? 'certificate'
    : (refusals[code] ?? (code.startsWith('ER_') ? refusalOfState(state) : undefined) ?? refusalOfSocket(code));
  return databaseFailure(refusal, name, what, code, error);
}
