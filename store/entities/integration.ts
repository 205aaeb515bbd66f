import { defineEntity, p } from '@mikro-orm/core';
import type { IdentitiesConfig, IntegrationConfig } from '../../model/config/types.ts';

/** One configured connection to one source system, or the identities of all, with the claim of the run that may write for it. */
export const Integration = defineEntity({
  name: 'Integration',
  tableName: 'integration',
  schema: 'tidemark',
  properties: {
    id: p.text().primary(),
    connector: p.text(),
    configId: p.bigint('string').nullable(),
    /** Raised by each claim; a writer of an older epoch is refused. */
    runEpoch: p.bigint('string'),
    /** Temporal run id of the `syncIntegration` workflow that holds the claim. */
    claimedBy: p.text().nullable(),
    claimedRun: p.bigint('string').nullable(),
    createdAt: p.datetime(),
    /** Since when the configuration no longer names it; its rows stay. */
    removedAt: p.datetime().nullable(),
  },
});

/** One immutable version of an integration's configuration; a run uses one version from begin to commit. */
export const IntegrationConfigVersion = defineEntity({
  name: 'IntegrationConfigVersion',
  tableName: 'integration_config',
  schema: 'tidemark',
  properties: {
    id: p.bigint('string').primary(),
    integrationId: p.text(),
    /** sha256 over the canonical JSON of `config`. */
    digest: p.text(),
    config: p.json().$type<IntegrationConfig | IdentitiesConfig>(),
    createdAt: p.datetime(),
  },
});
