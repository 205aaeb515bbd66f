import type { StreamBasis } from '../model/config/basis.ts';
import type { Marker } from '../model/marker.ts';
import { StoredMarker } from './entities/marker.ts';
import type { Store } from './store.ts';

/** A stored marker with what it is bound to. */
export interface StreamMarker extends StreamBasis {
  readonly marker: Marker;
  /** The compare-and-set value. */
  readonly version: string;
  readonly runId: string;
  /** When the last complete read of the stream began. */
  readonly completeAt: Date;
}

/** The stored markers of an integration, by stream. */
export async function readMarkers(store: Store, integration: string): Promise<ReadonlyMap<string, StreamMarker>> {
  const rows = await store.orm.em.fork().find(StoredMarker, { integrationId: integration }, { orderBy: { stream: 'asc' } });
  return new Map(
    rows.map((row) => [
      row.stream,
      {
        marker: {
          kind: row.kind,
          position: row.position,
          server: { id: row.serverId, name: row.serverName },
          takenAt: row.takenAt.toISOString(),
        },
        fingerprint: row.fingerprint,
        scope: row.scope,
        mappingVersion: row.mappingVersion,
        version: row.version,
        runId: row.runId,
        completeAt: row.completeAt,
      },
    ]),
  );
}

/** Forgets markers, so that the next run reads these streams completely. Returns the streams that had one. */
export async function resetMarkers(store: Store, integration: string, streams?: readonly string[]): Promise<readonly string[]> {
  const { rows } = await store.pool.query<{ stream: string }>(
    `delete from tidemark.marker where integration_id = $1 and ($2::text[] is null or stream = any($2)) returning stream`,
    [integration, streams ?? null],
  );
  return rows.map((row) => row.stream);
}
