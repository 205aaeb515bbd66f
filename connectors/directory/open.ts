import type { SecretReference } from '../../model/config/types.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { OpenOptions, Session } from '../connector.ts';
import { type ConnectionSettings, connect, type DirectoryConnection } from './connection.ts';
import type { Dialect } from './dialect.ts';

/** The part of the settings that says where to connect. */
export interface AddressSettings extends ConnectionSettings {
  /** Tried in this order. */
  readonly urls: readonly string[];
  readonly bindPassword: SecretReference;
}

/**
 * Opens a session with the first server that can be used. A refused sign-in ends the attempt: tried on every server it would lock the account.
 *
 * @param identify reads what the server says about itself
 * @param begin makes the session, which owns the connection from then on; `another` opens one more to the same address
 */
export async function openDirectory<Settings extends AddressSettings, StreamSettings, Server extends { readonly identity: ServerIdentity }>(
  options: OpenOptions<Settings, StreamSettings>,
  dialect: Dialect,
  identify: (connection: DirectoryConnection) => Promise<Server>,
  begin: (connection: DirectoryConnection, server: Server, url: string, another: () => Promise<DirectoryConnection>) => Promise<Session>,
): Promise<Session> {
  const { settings, signal, log } = options;
  const password = await options.secret(settings.bindPassword);
  if (password === '') {
    // RFC 4513 5.1.2: a simple bind without a password succeeds as anonymous.
    throw new TidemarkFailure('InvalidConfiguration', 'The password of the directory account is empty', {
      remedy: 'Check what bindPassword refers to.',
    });
  }
  const failures: TidemarkFailure[] = [];
  for (const url of settings.urls) {
    let connection: DirectoryConnection | undefined;
    try {
      connection = await connect(url, settings, password, signal, dialect, options.pace);
      const server = await identify(connection);
      if (options.server === undefined || options.server.id === server.identity.id)
        return await begin(connection, server, url, () => connect(url, settings, password, signal, dialect));
      failures.push(
        new TidemarkFailure('ServerChanged', `${connection.host} is not ${options.server.name} in the state the marker was taken from`, {
          remedy: 'Nothing: the run begins again with the server that is there.',
        }),
      );
      await connection[Symbol.asyncDispose]();
    } catch (error) {
      await connection?.[Symbol.asyncDispose]();
      signal.throwIfAborted();
      if (
        !(error instanceof TidemarkFailure) ||
        (connection !== undefined && error.type !== 'SourceUnavailable') ||
        error.type === 'AuthenticationFailed'
      )
        throw error;
      failures.push(error);
      log.debug(`A ${dialect.serverWord} can not be used`, { url, failure: error.type });
    }
  }
  throw worst(failures, dialect);
}

/** A server that is there in another state decides; then one that may come back; a certificate only if nothing else is wrong. */
function worst(failures: readonly TidemarkFailure[], dialect: Dialect): TidemarkFailure {
  const first = (type: TidemarkFailure['type']): TidemarkFailure | undefined => failures.find((failure) => failure.type === type);
  return (
    first('ServerChanged') ??
    first('SourceUnavailable') ??
    failures[0] ??
    new TidemarkFailure('InvalidConfiguration', `No ${dialect.serverWord} is named`, { remedy: 'Fill urls.' })
  );
}
