import { AndFilter, GreaterThanEqualsFilter, LessThanEqualsFilter } from 'ldapts';
import type { Marker, MarkerVerdict } from '../../model/marker.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { buffers } from '../directory/entry.ts';
import { generalizedTime } from '../directory/generalized-time.ts';
import { domainScope, showDeleted, showRecycled } from './controls.ts';
import { instantMsFrom1601Seconds } from './directory-time.ts';
import { parseReplicationMetadata } from './replication-metadata.ts';
import type { DomainController } from './server.ts';

/** USNs below a marker that are looked at. After a rollback every one of them was given out a second time, so some are on changes that last. */
const usnsBelowMarker = 1_000n;

/** By how much a clock that is being corrected may step back without looking like a rollback. */
const clockStepMs = 60_000;

/**
 * Whether a domain controller was set back behind a marker under its old invocationId, as a disk image that is put back leaves it, and has
 * counted past the marker since. It then holds changes of its own that are younger than the marker but numbered below it: no delta would
 * ever find them. One clock, the domain controller's, has stamped both.
 */
export async function wasSetBack(connection: DirectoryConnection, server: DomainController, since: Marker): Promise<boolean> {
  const position = BigInt(since.position);
  const youngerMs = Date.parse(since.takenAt) + clockStepMs;
  const first = position > usnsBelowMarker ? position - usnsBelowMarker : 0n;
  const pages = connection.pages(
    {
      base: server.domainDn,
      scope: 'sub',
      filter: new AndFilter({
        filters: [
          new GreaterThanEqualsFilter({ attribute: 'uSNChanged', value: first.toString() }),
          new LessThanEqualsFilter({ attribute: 'uSNChanged', value: position.toString() }),
          new GreaterThanEqualsFilter({ attribute: 'whenChanged', value: generalizedTime(youngerMs) }),
        ],
      }),
      attributes: ['replPropertyMetaData'],
      controls: [domainScope(), showDeleted(), ...(server.hasRecycled ? [showRecycled()] : [])],
      what: 'changes that are younger than their number',
    },
    100,
  );
  for await (const page of pages) {
    for (const entry of page) {
      const [metadata] = buffers(entry, 'replPropertyMetaData');
      const changes = metadata === undefined ? undefined : parseReplicationMetadata(metadata);
      const isOwnAndYounger = changes?.some(
        ({ localUsn, originator, originatingSeconds }) =>
          localUsn <= position && originator === server.identity.id && instantMsFrom1601Seconds(originatingSeconds) >= youngerMs,
      );
      if (isOwnAndYounger === true) return true;
    }
  }
  return false;
}

/** What a marker is worth on a server that {@link wasSetBack}. */
export function setBackVerdict(since: Marker, server: DomainController): MarkerVerdict {
  return {
    valid: false,
    reason: `${server.identity.name} was set back to a state before ${since.position} and has counted past it again: it has younger changes below the marker.`,
  };
}
