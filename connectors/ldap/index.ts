import type { Connector } from '../connector.ts';
import { openDirectory } from '../directory/open.ts';
import { dialect } from './dialect.ts';
import { readServer } from './server.ts';
import { openSession } from './session.ts';
import { type LdapSettings, type LdapStreamSettings, settingsSchema, streamSettingsSchema } from './settings.ts';
import { declareStreams } from './streams.ts';

/** OpenLDAP and other LDAP directories with entryUUID (RFC 4530). Deltas go by change sequence numbers, or by the time of change. */
export const ldap: Connector<LdapSettings, LdapStreamSettings> = {
  type: 'ldap',
  version: 1,
  settings: settingsSchema,
  streamSettings: streamSettingsSchema,
  streams: declareStreams,
  open: (options) =>
    openDirectory(
      options,
      dialect,
      (connection) => readServer(connection, options.settings),
      (connection, server, url, another) => openSession(connection, another, server, url, options),
    ),
};
