import { EqualityFilter } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker, MarkerVerdict } from '../../model/marker.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { hasRecord, logCoverage, readAccessLog } from './access-log.ts';
import { type ChangePosition, changePositionText, parseChangePosition } from './change-number.ts';
import { type CsnSet, csnSetText, floorOf, parseCsnSet } from './csn.ts';
import { judgeChangeNumber, judgeMarker, markerAt } from './markers.ts';
import type { Since } from './read-changes.ts';
import { announcedNumbers, holdsChange, readLastChange, readRetroChangelog } from './retro-changelog.ts';
import { type DirectoryServer, readContextCsn, withoutContextCsn } from './server.ts';
import { followsAccessLog, type LdapSettings } from './settings.ts';

/** What deltas go by: how a directory says how far it has got. One for each kind of marker. */
export interface Positions {
  /** The marker of the position now. */
  mark(): Promise<Marker>;
  judge(since: Marker): Promise<MarkerVerdict>;
  /**
   * Fails with `ServerChanged` unless the server has got as far as a marker of the same run. Replicas share an identity: one that took over
   * in the middle, and lags behind, would give what the run's marker is past.
   */
  requireReached(upTo: Marker): Promise<void>;
  /**
   * From where a delta of this run reads, with what the log of changes tells. It fails as `requireReached` does.
   *
   * @param withUids whether it matters to the stream that somebody's uid was changed
   */
  since(marker: Marker, upTo: Marker, withUids: boolean): Promise<Since>;
}

interface Place {
  readonly connection: DirectoryConnection;
  readonly server: DirectoryServer;
  readonly settings: LdapSettings;
  readonly pageSize: number;
}

export function positionsOf(place: Place): Positions {
  const { marker } = place.settings;
  switch (marker) {
    case 'csn':
      return csnPositions(place);
    case 'changeNumber':
      return changeNumberPositions(place);
    case 'modifyTimestamp':
      return timestampPositions(place);
    default:
      return marker satisfies never;
  }
}

function csnPositions({ connection, server, settings, pageSize }: Place): Positions {
  const position = async (): Promise<CsnSet> => {
    const found = await readContextCsn(connection, server);
    if (found === undefined) throw withoutContextCsn(connection, server);
    return found;
  };
  const hasEntryAt = async (value: string): Promise<boolean> => {
    const filter = new EqualityFilter({ attribute: 'entryCSN', value });
    const search = { base: server.suffix, scope: 'sub', filter, attributes: ['1.1'], what: "the marker's own change" } as const;
    return (await connection.search(search)).length > 0;
  };
  const reached = async (upTo: Marker): Promise<CsnSet> => {
    const now = await position();
    for (const [id, csn] of parseCsnSet(upTo.position) ?? []) {
      if ((now.get(id) ?? '') >= csn || (await hasEntryAt(csn))) continue;
      // After a crash contextCSN may be behind what the server has.
      if (followsAccessLog(settings) && (await hasRecord(connection, server, csn))) continue;
      throw notReached(connection.host);
    }
    return now;
  };
  return {
    mark: async () => markerAt('csn', csnSetText(await position()), server),
    async judge(since) {
      const now = await readContextCsn(connection, server);
      return judgeMarker(since, 'csn', server, Date.now(), {
        position: now,
        coverage: (marked) => (followsAccessLog(settings) && now !== undefined ? logCoverage(connection, server, marked, now) : undefined),
        hasEntryAt,
      });
    },
    async requireReached(upTo) {
      await reached(upTo);
    },
    async since(marker, upTo) {
      const now = await reached(upTo);
      const marked = parseCsnSet(marker.position);
      if (marked === undefined) throw notJudged();
      const log = followsAccessLog(settings) ? await readAccessLog(connection, server, marked, floorOf(marked, now), pageSize) : undefined;
      return { kind: 'csn', marked, now, log };
    },
  };
}

function changeNumberPositions({ connection, server }: Place): Positions {
  const reached = async (upTo: Marker): Promise<ChangePosition> => {
    const position = parseChangePosition(upTo.position);
    if (position === undefined || !(await holdsChange(connection, position))) throw notReached(connection.host);
    return position;
  };
  return {
    mark: async () => markerAt('changeNumber', changePositionText(await readLastChange(connection)), server),
    judge: (since) =>
      judgeChangeNumber(since, server, {
        numbers: () => announcedNumbers(connection),
        holdsChange: (position) => holdsChange(connection, position),
      }),
    async requireReached(upTo) {
      await reached(upTo);
    },
    async since(marker, upTo, withUids) {
      const last = await reached(upTo);
      const since = parseChangePosition(marker.position);
      if (since === undefined) throw notJudged();
      return { kind: 'changeNumber', log: await readRetroChangelog({ connection, server, since, upTo: last, withUids }) };
    },
  };
}

function timestampPositions({ server, settings }: Place): Positions {
  return {
    mark: async () => markerAt('modifyTimestamp', new Date().toISOString(), server),
    judge: (since) =>
      judgeMarker(since, 'modifyTimestamp', server, Date.now(), {
        position: undefined,
        coverage: () => undefined,
        hasEntryAt: async () => false,
      }),
    requireReached: async () => undefined,
    since: async (marker) => ({ kind: 'modifyTimestamp', fromMs: Date.parse(marker.position) - settings.timestampOverlap }),
  };
}

function notReached(host: string): TidemarkFailure {
  return new TidemarkFailure('ServerChanged', `${host} has not got as far as the run began at`, {
    remedy: 'Nothing: the run begins again with the server that is there.',
  });
}

function notJudged(): Error {
  return new Error('a marker that was judged valid has a position');
}
