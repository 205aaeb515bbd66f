import { TidemarkFailure } from '../../model/failure.ts';
import type { Marker, ServerIdentity } from '../../model/marker.ts';

/** Fails with `ServerChanged` unless a marker belongs to this server: data and markers of one run come from one. */
export function requireSameServer(marker: Marker, identity: ServerIdentity): void {
  if (marker.server.id === identity.id) return;
  throw new TidemarkFailure('ServerChanged', `The marker was taken on ${marker.server.name}, but this is ${identity.name}`, {
    remedy: 'Nothing: the run begins again with the server that is there.',
  });
}
