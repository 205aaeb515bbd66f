import { TidemarkFailure } from '../../model/failure.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { Connector, OpenOptions, Session } from '../connector.ts';
import { nameOnly } from './check.ts';
import type { Address, Connect } from './connection.ts';
import type { Database } from './database.ts';
import { jdbcConnect } from './jdbc.ts';
import { connectPostgresql } from './postgresql.ts';
import { openSession } from './session.ts';
import { type SqlSettings, type SqlStreamSettings, settingsSchema, streamSettingsSchema } from './settings.ts';
import { declareStreams } from './streams.ts';

/** Tables and queries of PostgreSQL, MySQL and MariaDB, and of any database with a JDBC driver. */
export const sql: Connector<SqlSettings, SqlStreamSettings> = {
  type: 'sql',
  version: 1,
  settings: settingsSchema,
  streamSettings: streamSettingsSchema,
  streams: declareStreams,
  open,
};

const connectJdbc = jdbcConnect();

/** The library is large: it is loaded where it is used. */
const connectMysql: Connect = async (options) => (await import('./mysql.ts')).connectMysql(options);

async function open(options: OpenOptions<SqlSettings, SqlStreamSettings>): Promise<Session> {
  const { settings, signal, pace } = options;
  const password = settings.password === undefined ? '' : await options.secret(settings.password);
  const { connect, address } = driverOf(settings.url);
  const database = await connect({ address, settings, password, signal, ...(pace === undefined ? {} : { pace }) });
  try {
    const server = await identityOf(database);
    if (options.server !== undefined && options.server.id !== server.id) {
      throw new TidemarkFailure('ServerChanged', `${server.name} is not ${options.server.name} in the state the marker was taken from`, {
        remedy: 'Nothing: the run begins again with the database that is there.',
      });
    }
    return openSession(database, server, options);
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

function driverOf(url: string): { readonly connect: Connect; readonly address: Address } {
  if (url.startsWith('jdbc:')) return { connect: connectJdbc, address: { host: '', database: '' } };
  const { protocol, hostname, port, pathname } = new URL(url);
  const address = {
    host: hostname.replace(/^\[|\]$/g, ''),
    database: decodeURIComponent(pathname.slice(1)),
    ...(port === '' ? {} : { port: Number(port) }),
  };
  return { connect: protocol.startsWith('postgres') ? connectPostgresql : connectMysql, address };
}

/** What the database says it is; its name, where it does not say or the account may not ask. */
async function identityOf(database: Database): Promise<ServerIdentity> {
  const { dialect, name } = database;
  const ask = (text: string) => database.ask({ text, parameters: [] }, 'what database it is');
  try {
    const id = await dialect.identify?.(ask);
    if (id !== undefined) return { id, name };
  } catch (error) {
    if (!(error instanceof TidemarkFailure) || (error.type !== 'RightsMissing' && error.type !== 'InvalidConfiguration')) throw error;
  }
  return { id: `${nameOnly}${name}`, name };
}
