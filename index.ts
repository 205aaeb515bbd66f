/**
 * Tidemark for programs.
 *
 * `TidemarkClient` asks for syncs and reads what they brought. With a plain Temporal client start the workflow `launchSync` with one
 * `LaunchRequest` on the workers' task queue, under any workflow id; its result is a `LaunchResult`, and a failed run fails it with a typed
 * `ApplicationFailure` whose first detail is `{ run: RunSummary }`. Connectors of your own go into a registry for `startWorker`.
 */
export {
  type ChangesOptions,
  type FollowOptions,
  type RetryResult,
  type SyncResult,
  TidemarkClient,
  type TidemarkClientOptions,
} from './cli/client.ts';
export { builtInConnectors } from './cli/connectors.ts';
export type { ActivityProgress, SyncState } from './cli/progress.ts';
export type { IntegrationStatus, OpenWorkflow, RequestCounts, ScheduleStatus } from './cli/status.ts';
export type {
  CheckReport,
  Connector,
  Finding,
  Log,
  OpenOptions,
  ReadEnd,
  Seal,
  Session,
  StreamDeclaration,
} from './connectors/connector.ts';
export { type ConnectorRegistry, connectorRegistry } from './connectors/registry.ts';
export type { SecretReference } from './model/config/types.ts';
export type { Explanation } from './model/explanation.ts';
export { type FailureDetails, type FailureType, isTidemarkFailure, TidemarkFailure } from './model/failure.ts';
export type { Found, Item } from './model/item.ts';
export type { MaintenanceRequest, MaintenanceResult } from './model/maintenance.ts';
export type { Marker, MarkerVerdict, ServerIdentity } from './model/marker.ts';
export type {
  DecidedOutcome,
  Decision,
  DecisionMode,
  Drift,
  HeldKind,
  LaunchRequest,
  LaunchResult,
  Mode,
  Outcome,
  RecordedDecision,
  RequestedMode,
  RunFailure,
  RunSummary,
  StreamTotals,
} from './model/run.ts';
export { identitiesName, syncWorkflowId } from './model/workflow-ids.ts';
export type { IdentityDecision } from './store/identities/decisions.ts';
export type { Identity, IdentityExplanation, IdentityMember, ObjectName, Unjoined, WhoseObject } from './store/identities/read.ts';
export type { MarkerOverview } from './store/read-overview.ts';
export type { QuarantinedRow, QuarantineFilter } from './store/read-quarantine.ts';
export type { ListedRun } from './store/read-run-trends.ts';
export type { IndexStorage, StorageReport, TableStorage } from './store/read-storage.ts';
export type { HeldFilter, HeldRow } from './store/read-waiting.ts';
export type { PlanSample, PlanSamples } from './store/rehearsal.ts';
export type { DecidedRow } from './store/sql/decide-held.ts';
export type { HeldPlan } from './store/sql/held-plans.ts';
export type { QuarantineChoice } from './store/sql/quarantine.ts';
export type { Change, ChangeKind } from './store/sql/read-changes.ts';
export type { DriftCount, StoredDrift } from './store/sql/read-drift.ts';
export type { StoredObject } from './store/sql/read-objects.ts';
export { type RunningWorker, startWorker, type TemporalTarget, type WorkerSettings } from './workers/worker.ts';
export type { SyncProgress } from './workflows/carry-out.ts';

/** The names of the workflows. `syncIntegration` and `synchronizeIdentities` are started by `launchSync` only. */
export const workflowNames = {
  launchSync: 'launchSync',
  syncIntegration: 'syncIntegration',
  synchronizeIdentities: 'synchronizeIdentities',
  maintain: 'maintain',
} as const;
