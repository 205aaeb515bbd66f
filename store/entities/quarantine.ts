import { defineEntity, p } from '@mikro-orm/core';

/** An item that could not be mapped, validated or stored, with the reason. */
export const Quarantined = defineEntity({
  name: 'Quarantined',
  tableName: 'quarantine',
  schema: 'tidemark',
  properties: {
    integrationId: p.text().primary(),
    stream: p.text().primary(),
    sourceId: p.text().primary(),
    reason: p.text(),
    /** The item's source hash, if it could be read at all: whether it has changed since. */
    fingerprint: p.blob().nullable(),
    firstRunId: p.bigint('string'),
    lastRunId: p.bigint('string'),
    firstAt: p.datetime(),
    /** Somebody asked to have it tried again; null once a run has done so. */
    retryAskedAt: p.datetime().nullable(),
  },
});
