import { resolve } from 'node:path';
import type { ServerIdentity } from '../../model/marker.ts';
import type { FlatFileSettings, S3Settings, SftpSettings } from './settings.ts';

/** Where the files of these settings lie; markers are bound to it. */
export function placeIdentity({ folder, sftp, s3 }: FlatFileSettings): ServerIdentity {
  if (sftp !== undefined) return sftpIdentity(sftp);
  return s3 === undefined ? folderIdentity(folder ?? '.') : s3Identity(s3);
}

export function folderIdentity(folder: string): ServerIdentity {
  const path = resolve(folder);
  return { id: `folder:${path}`, name: path };
}

export function s3Identity({ bucket, prefix, endpoint }: S3Settings): ServerIdentity {
  const place = `s3://${bucket}/${prefix}`;
  return { id: endpoint === undefined ? place : `${endpoint} ${place}`, name: place };
}

export function sftpIdentity({ host, port, folder }: SftpSettings): ServerIdentity {
  return { id: `sftp://${host}:${port}/${folder}`, name: `${folder} of ${host}` };
}
