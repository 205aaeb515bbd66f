import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** The search attributes that a namespace must know; all are keywords. */
export const searchAttributes = {
  integration: defineSearchAttributeKey('IntegrationId', SearchAttributeType.KEYWORD),
  connector: defineSearchAttributeKey('ConnectorType', SearchAttributeType.KEYWORD),
  mode: defineSearchAttributeKey('SyncMode', SearchAttributeType.KEYWORD),
  outcome: defineSearchAttributeKey('SyncOutcome', SearchAttributeType.KEYWORD),
} as const;
