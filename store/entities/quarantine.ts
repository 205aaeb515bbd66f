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
    firstRunId: p.bigint('string'),
    lastRunId: p.bigint('string'),
    firstAt: p.datetime(),
  },
});
