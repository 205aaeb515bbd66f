import type { Connector } from '../connector.ts';
import { openDirectory } from '../directory/open.ts';
import { dialect } from './dialect.ts';
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
  open: (options) =>
    openDirectory(options, dialect, readDomainController, (connection, server, url) => openSession(connection, server, url, options)),
};
