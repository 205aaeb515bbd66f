import type { SecretReference } from '../../model/config/types.ts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Connector, OpenOptions } from '../connector.ts';
import { openFolder } from './folder.ts';
import type { Place } from './place.ts';
import { placeIdentity } from './place-identity.ts';
import { openSession } from './session.ts';
import { type FlatFileSettings, type FlatFileStreamSettings, settingsSchema, streamSettingsSchema } from './settings.ts';
import { declareStreams } from './streams.ts';

type Options = OpenOptions<FlatFileSettings, FlatFileStreamSettings>;

/** Files with one object a row: CSV, TSV, JSON Lines and LDIF; in a folder, on an SFTP server, or in S3. */
export const flatFile: Connector<FlatFileSettings, FlatFileStreamSettings> = {
  type: 'flat-file',
  version: 1,
  settings: settingsSchema,
  streamSettings: streamSettingsSchema,
  streams: declareStreams,
  async open(options) {
    requireSamePlace(options);
    return openSession(await openPlace(options), options);
  },
};

/** The libraries of SFTP and S3 are large: they are loaded where they are used. */
async function openPlace({ settings, secret, pace, signal }: Options): Promise<Place> {
  const { folder, sftp, s3 } = settings;
  const read = async (reference: SecretReference | undefined) => (reference === undefined ? undefined : await secret(reference));
  if (sftp !== undefined) {
    const [password, privateKey, passphrase] = await Promise.all([sftp.password, sftp.privateKey, sftp.passphrase].map(read));
    const { openSftp } = await import('./sftp.ts');
    return openSftp({ settings: sftp, password, privateKey, passphrase, pace, signal });
  }
  if (s3 !== undefined) {
    const [accessKeyId, secretAccessKey] = await Promise.all([s3.accessKeyId, s3.secretAccessKey].map(read));
    const credentials = accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey };
    const { openS3 } = await import('./s3.ts');
    return openS3({ settings: s3, credentials, pace, signal });
  }
  return openFolder(folder ?? '.');
}

function requireSamePlace({ settings, server }: Options): void {
  const { id, name } = placeIdentity(settings);
  if (server === undefined || server.id === id) return;
  throw new TidemarkFailure('ServerChanged', `The run began with the files in ${server.name}, but the settings name ${name}`, {
    remedy: 'Nothing: the run begins again with the files that are there.',
  });
}
