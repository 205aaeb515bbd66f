import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker } from '../../model/marker.ts';
import type { OpenOptions, Session } from '../connector.ts';
import { checkFiles } from './check.ts';
import { type FilesPosition, judgeMarker, markerAt, positionOf } from './markers.ts';
import { objectReader } from './object-reader.ts';
import type { Place } from './place.ts';
import type { FlatFileSettings, FlatFileStreamSettings } from './settings.ts';
import { snapshotFiles } from './snapshot.ts';
import type { StreamFiles } from './stream-files.ts';

/** A session with a place. It owns the place. */
export function openSession(place: Place, options: OpenOptions<FlatFileSettings, FlatFileStreamSettings>): Session {
  const { pageSize, signal } = options;
  const streams = new Map(
    Object.entries(options.streams).map(([stream, { settings, attributes }]) => {
      const objects = objectReader(settings, attributes);
      const reader = { place, settings, signal };
      return [stream, { settings, objects, reader, files: snapshotFiles({ stream, settings, reader, objects, pageSize }) }] as const;
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
        [...streams].map(([stream, { reader, objects }]) => ({ stream, settings: reader.settings, columns: objects.columns })),
      ),
    async mark(stream) {
      const takenAt = new Date().toISOString();
      return markerAt(await filesOf(stream).position(), place.identity, takenAt);
    },
    async judge(stream, since) {
      filesOf(stream);
      return judgeMarker(since, place.identity);
    },
    readAll: (stream) => filesOf(stream).readAll(),
    readChanges: (stream, since, upTo) => filesOf(stream).readChanges(judged(since), judged(upTo)),
    readByIds: (stream, ids) => filesOf(stream).readByIds(ids),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

function judged(marker: Marker): FilesPosition {
  const position = positionOf(marker);
  if (position === undefined) throw new Error('a marker that was judged valid names files');
  return position;
}
