import { defineEntity, p } from '@mikro-orm/core';
import type { LinkTotals, RecordedDecision, RequestedMode, RunFailure, StepRecord, StreamTotals } from '../../model/run.ts';
import type { StoredDrift } from '../sql/read-drift.ts';

/** One execution of the pipeline, or one request that was skipped. */
export const SyncRun = defineEntity({
  name: 'SyncRun',
  tableName: 'sync_run',
  schema: 'tidemark',
  properties: {
    id: p.bigint('string').primary(),
    integrationId: p.text(),
    workflowId: p.text(),
    temporalRunId: p.text(),
    launcherId: p.text().nullable(),
    requestedMode: p.text().$type<RequestedMode>(),
    requestedStreams: p.array().nullable(),
    mode: p.text().$type<'complete' | 'delta'>().nullable(),
    outcome: p.text().$type<'running' | 'succeeded' | 'failed' | 'skipped' | 'cancelled'>(),
    reason: p.text().nullable(),
    failure: p.json().$type<RunFailure>().nullable(),
    configId: p.bigint('string').nullable(),
    requestedAt: p.datetime(),
    begunAt: p.datetime().nullable(),
    startedAt: p.datetime(),
    finishedAt: p.datetime().nullable(),
    sealed: p.boolean(),
    dryRun: p.boolean(),
    steps: p.json().$type<Readonly<Record<string, StepRecord>>>(),
    streams: p.json().$type<Readonly<Record<string, StreamTotals>>>(),
    links: p.json().$type<Partial<LinkTotals>>(),
    decision: p.json().$type<Omit<RecordedDecision, 'rows'> & Partial<Pick<RecordedDecision, 'rows'>>>().nullable(),
    drift: p.json().$type<StoredDrift>().nullable(),
  },
});
