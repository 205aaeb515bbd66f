import { defineEntity, p } from '@mikro-orm/core';

/** A deletion of an object, or of one link, that exceeds a limit and waits for approval. */
export const HeldDeletion = defineEntity({
  name: 'HeldDeletion',
  tableName: 'held_deletion',
  schema: 'tidemark',
  properties: {
    id: p.bigint('string').primary(),
    integrationId: p.text(),
    stream: p.text(),
    objectId: p.bigint('string'),
    /** Set with `targetId` where one link is held, not the object. */
    link: p.text().nullable(),
    targetId: p.bigint('string').nullable(),
    reason: p.text(),
    /** Which limit, in words with its figures. */
    limitExceeded: p.text(),
    firstRunId: p.bigint('string'),
    lastRunId: p.bigint('string'),
    heldAt: p.datetime(),
  },
});
