import type { Marker, MarkerVerdict } from '../../model/marker.ts';
import type { DirectoryPosition, DomainController } from './server.ts';
import type { ActiveDirectorySettings } from './settings.ts';

const dayMs = 86_400_000;

/** The marker of a position. Nothing is ever read before it is taken. */
export function markerAt(position: DirectoryPosition, kind: ActiveDirectorySettings['marker'], server: DomainController): Marker {
  return {
    kind,
    position: kind === 'usn' ? position.highestCommittedUsn.toString() : position.currentTime,
    server: server.identity,
    takenAt: position.currentTime,
  };
}

/** Whether changes since a marker can be read without loss. */
export function judgeMarker(
  since: Marker,
  now: {
    readonly kind: ActiveDirectorySettings['marker'];
    readonly server: DomainController;
    readonly position: DirectoryPosition;
    readonly tombstoneLifetimeDays: number;
  },
): MarkerVerdict {
  const invalid = (reason: string): MarkerVerdict => ({ valid: false, reason });
  const { kind, server, position, tombstoneLifetimeDays } = now;
  if (since.kind !== kind) return invalid(`The marker is a position of kind ${since.kind}, but deltas go by ${kind}.`);
  if (since.server.id !== server.identity.id) {
    return invalid(
      since.server.name === server.identity.name
        ? `The database of ${server.identity.name} was restored or made anew since the marker was taken (other invocationId).`
        : `The marker was taken on ${since.server.name}, and positions of ${server.identity.name} can not be compared with it.`,
    );
  }
  const takenMs = Date.parse(since.takenAt);
  const nowMs = Date.parse(position.currentTime);
  if (Number.isNaN(takenMs)) return invalid('The marker does not say when it was taken.');
  if (kind === 'usn') {
    if (!/^\d{1,19}$/.test(since.position)) return invalid('The position of the marker is not a number.');
    if (BigInt(since.position) > position.highestCommittedUsn) {
      return invalid(
        `The marker is at ${since.position}, but ${server.identity.name} has got no further than ${position.highestCommittedUsn}: it was set back to an earlier state.`,
      );
    }
  } else if (Number.isNaN(Date.parse(since.position))) {
    return invalid('The position of the marker is not a time.');
  }
  if (takenMs > nowMs + dayMs)
    return invalid(`The clock of ${server.identity.name} was set back: the marker was taken at ${since.takenAt}.`);
  // Half a day earlier than the rule: tombstones are collected twice a day and need not wait for us.
  if (nowMs - takenMs > tombstoneLifetimeDays * dayMs - dayMs / 2) {
    return invalid(
      `The marker was taken at ${since.takenAt}, and the directory forgets deletions after ${tombstoneLifetimeDays} days (tombstone lifetime).`,
    );
  }
  return { valid: true };
}
