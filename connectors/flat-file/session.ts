import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker, MarkerVerdict } from '../../model/marker.ts';
import type { OpenOptions, Session } from '../connector.ts';
import { changeFiles } from './change-files.ts';
import { checkFiles } from './check.ts';
import { type FilesPosition, markerAt, positionOf } from './markers.ts';
import { objectReader } from './object-reader.ts';
import type { Place } from './place.ts';
import type { FlatFileSettings, FlatFileStreamSettings } from './settings.ts';
import { snapshotFiles } from './snapshot.ts';
import type { StreamFiles, StreamFilesOptions } from './stream-files.ts';

/** A session with a place. It owns the place. */
export function openSession(place: Place, options: OpenOptions<FlatFileSettings, FlatFileStreamSettings>): Session {
  const { pageSize, signal } = options;
  const streams = new Map(
    Object.entries(options.streams).map(([stream, { settings, attributes }]) => {
      const objects = objectReader(settings, attributes);
      const reader = { place, settings, signal };
      return [stream, { settings, objects, files: filesOfStream({ stream, settings, reader, objects, pageSize }) }] as const;
    }),
  );
  const filesOf = (stream: string): StreamFiles => {
    const found = streams.get(stream);
    if (found !== undefined) return found.files;
    throw new TidemarkFailure('InvalidConfiguration', `The integration has no stream ${stream}`, {
      stream,
      remedy: `It has ${[...streams.keys()].join(', ')}.`,
    });
  };
  return {
    server: place.identity,
    check: () =>
      checkFiles(
        place,
        [...streams].map(([stream, { settings, objects, files }]) => ({ stream, settings, columns: objects.columns, files })),
      ),
    async mark(stream) {
      const takenAt = new Date().toISOString();
      return markerAt(await filesOf(stream).position(), place.identity, takenAt);
    },
    async judge(stream, since) {
      const files = filesOf(stream);
      const { name } = place.identity;
      if (since.server.id !== place.identity.id)
        return invalid(`The marker was taken in ${since.server.name}, but the files are in ${name}.`);
      const position = positionOf(since);
      return position === undefined ? invalid('The position of the marker names no files.') : files.judge(position);
    },
    readAll: (stream, upTo) => filesOf(stream).readAll(judged(upTo)),
    readChanges: (stream, since, upTo) => filesOf(stream).readChanges(judged(since), judged(upTo)),
    readByIds: (stream, ids) => filesOf(stream).readByIds(ids),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

function filesOfStream(options: StreamFilesOptions): StreamFiles {
  const { changes } = options.settings;
  return changes === undefined ? snapshotFiles(options) : changeFiles({ ...options, changes });
}

function invalid(reason: string): MarkerVerdict {
  return { valid: false, reason };
}

function judged(marker: Marker): FilesPosition {
  const position = positionOf(marker);
  if (position === undefined) throw new Error('a marker that was judged valid names files');
  return position;
}
