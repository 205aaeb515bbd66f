import { TidemarkFailure } from '../../model/failure.ts';
import type { Connector } from '../connector.ts';
import { openFolder } from './folder.ts';
import { openSession } from './session.ts';
import { type FlatFileSettings, type FlatFileStreamSettings, settingsSchema, streamSettingsSchema } from './settings.ts';
import { declareStreams } from './streams.ts';

/** Files with one object a row: CSV, TSV, JSON Lines and LDIF. */
export const flatFile: Connector<FlatFileSettings, FlatFileStreamSettings> = {
  type: 'flat-file',
  version: 1,
  settings: settingsSchema,
  streamSettings: streamSettingsSchema,
  streams: declareStreams,
  async open(options) {
    const place = openFolder(options.settings.folder);
    if (options.server !== undefined && options.server.id !== place.identity.id) {
      await place[Symbol.asyncDispose]();
      throw new TidemarkFailure(
        'ServerChanged',
        `The run began with the files in ${options.server.name}, but the settings name ${place.identity.name}`,
        {
          remedy: 'Nothing: the run begins again with the files that are there.',
        },
      );
    }
    return openSession(place, options);
  },
};
