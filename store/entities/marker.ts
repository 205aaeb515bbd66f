import { defineEntity, p } from '@mikro-orm/core';

/** The position up to which a stream is known, bound to the server and the basis (`StreamBasis`) it was taken with. */
export const StoredMarker = defineEntity({
  name: 'StoredMarker',
  tableName: 'marker',
  schema: 'tidemark',
  properties: {
    integrationId: p.text().primary(),
    stream: p.text().primary(),
    kind: p.text(),
    position: p.text(),
    serverId: p.text(),
    serverName: p.text(),
    fingerprint: p.text(),
    scope: p.text(),
    mappingVersion: p.text(),
    takenAt: p.datetime(),
    runId: p.bigint('string'),
    /** When the last complete read of this stream began. */
    completeAt: p.datetime(),
    /** Counts up with every advance; the compare-and-set value. */
    version: p.bigint('string'),
  },
});
