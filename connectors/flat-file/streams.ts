import { TidemarkFailure } from '../../model/failure.ts';
import type { StreamDeclaration } from '../connector.ts';
import type { FlatFileSettings, FlatFileStreamSettings } from './settings.ts';

/** The streams are those that the configuration names: files can hold whatever people put into them. */
export function declareStreams(
  _: FlatFileSettings,
  streams: Readonly<Record<string, FlatFileStreamSettings>>,
): readonly StreamDeclaration[] {
  if (Object.keys(streams).length === 0) {
    throw new TidemarkFailure('InvalidConfiguration', 'A flat-file integration needs streams', {
      remedy: 'Name at least one below streams, with files and key. Those named users and groups make the views accounts and groups.',
    });
  }
  return Object.entries(streams).map(([name, { proof: _proof, attributes, ...query }]) => ({
    name,
    delta: 'full',
    misses: [],
    // Nobody but the file's author knows what its columns mean.
    mapping: {},
    volatile: [],
    attributes,
    query,
  }));
}
