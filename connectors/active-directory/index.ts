import { TidemarkFailure } from '../../model/failure.ts';
import type { Connector, OpenOptions, Session } from '../connector.ts';
import { connect } from './connection.ts';
import { readDomainController } from './server.ts';
import { openSession } from './session.ts';
import { type ActiveDirectorySettings, type ActiveDirectoryStreamSettings, settingsSchema, streamSettingsSchema } from './settings.ts';
import { declareStreams } from './streams.ts';

/** Active Directory and Samba over LDAP. Deltas go by the update sequence number of one domain controller. */
export const activeDirectory: Connector<ActiveDirectorySettings, ActiveDirectoryStreamSettings> = {
  type: 'active-directory',
  version: 1,
  settings: settingsSchema,
  streamSettings: streamSettingsSchema,
  streams: declareStreams,
  open,
};

/** Tries the addresses in their order. A refused sign-in ends the attempt: tried on every domain controller it would lock the account. */
async function open(options: OpenOptions<ActiveDirectorySettings, ActiveDirectoryStreamSettings>): Promise<Session> {
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
    let connection: Awaited<ReturnType<typeof connect>> | undefined;
    try {
      connection = await connect(url, settings, password, signal);
      const server = await readDomainController(connection);
      if (options.server === undefined || options.server.id === server.identity.id)
        return await openSession(connection, server, url, options);
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
      log.debug('A domain controller can not be used', { url, failure: error.type });
    }
  }
  throw worst(failures);
}

/** A server that is there in another state decides; then one that may come back; a certificate only if nothing else is wrong. */
function worst(failures: readonly TidemarkFailure[]): TidemarkFailure {
  const first = (type: TidemarkFailure['type']): TidemarkFailure | undefined => failures.find((failure) => failure.type === type);
  return (
    first('ServerChanged') ??
    first('SourceUnavailable') ??
    failures[0] ??
    new TidemarkFailure('InvalidConfiguration', 'No domain controller is named', { remedy: 'Fill urls.' })
  );
}
