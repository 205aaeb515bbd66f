import type { Client } from '@temporalio/client';
import { scheduleIdPrefix, syncWorkflowId } from '../model/workflow-ids.ts';
import { type IntegrationOverview, readOverview } from '../store/read-overview.ts';
import { runningLaunchers } from '../store/run-summary.ts';
import type { Store } from '../store/store.ts';
import { fewAtOnce } from './few-at-once.ts';

/** One integration: what the database knows of it, and what Temporal is doing and will do for it. */
export interface IntegrationStatus extends IntegrationOverview {
  /** Open workflows: the run, and requests that wait for it or carry it. */
  readonly open: readonly OpenWorkflow[];
  readonly requests: RequestCounts;
  readonly schedules: readonly ScheduleStatus[];
}

/** Open requests of an integration. */
export interface RequestCounts {
  /** Their run is at work. */
  readonly active: number;
  /** They wait for their turn, or for a worker. */
  readonly waiting: number;
}

export interface OpenWorkflow {
  readonly workflowId: string;
  readonly kind: 'run' | 'request';
  /** A run is active, and so is the request that it carries out; other requests wait for their turn, or for a worker. */
  readonly state: 'active' | 'waiting';
  readonly mode: string | null;
  /** ISO 8601, UTC. */
  readonly since: string;
}

export interface ScheduleStatus {
  readonly schedule: string;
  readonly paused: boolean;
  /** What an operator wrote when pausing. */
  readonly note: string | null;
  /** The next times, ISO 8601, UTC. */
  readonly next: readonly string[];
}

export async function readStatus(store: Store, temporal: Client): Promise<readonly IntegrationStatus[]> {
  const overviews = await readOverview(store);
  const schedules = await listSchedules(temporal);
  return fewAtOnce(overviews, async (overview) => {
    const open = await listOpen(store, temporal, overview.integration);
    return {
      ...overview,
      open,
      requests: countRequests(open),
      schedules: schedules.filter(({ schedule }) => schedule.startsWith(`${scheduleIdPrefix}${overview.integration}/`)),
    };
  });
}

/** Active and waiting requests by integration; of one, or of all that the configuration names. */
export async function readRequests(
  store: Store,
  temporal: Client,
  integrations: readonly string[],
): Promise<ReadonlyMap<string, RequestCounts>> {
  return new Map(await fewAtOnce(integrations, async (id) => [id, countRequests(await listOpen(store, temporal, id))] as const));
}

function countRequests(open: readonly OpenWorkflow[]): RequestCounts {
  const requests = open.filter(({ kind }) => kind === 'request');
  const active = requests.filter(({ state }) => state === 'active').length;
  return { active, waiting: requests.length - active };
}

async function listOpen(store: Store, temporal: Client, integration: string): Promise<readonly OpenWorkflow[]> {
  const open: OpenWorkflow[] = [];
  const carried = new Set(await runningLaunchers(store, integration));
  for await (const workflow of temporal.workflow.list({ query: `IntegrationId = '${integration}' AND ExecutionStatus = 'Running'` })) {
    const mode = workflow.searchAttributes.SyncMode?.[0];
    const kind = workflow.workflowId === syncWorkflowId(integration) ? 'run' : 'request';
    open.push({
      workflowId: workflow.workflowId,
      kind,
      state: kind === 'run' || carried.has(workflow.workflowId) ? 'active' : 'waiting',
      mode: typeof mode === 'string' ? mode : null,
      since: workflow.startTime.toISOString(),
    });
  }
  return open.toSorted((a, b) => (a.since < b.since ? -1 : 1));
}

async function listSchedules(temporal: Client): Promise<readonly ScheduleStatus[]> {
  const found: ScheduleStatus[] = [];
  for await (const { scheduleId, state, info } of temporal.schedule.list()) {
    if (!scheduleId.startsWith(scheduleIdPrefix)) continue;
    found.push({
      schedule: scheduleId,
      paused: state.paused,
      note: state.note || null,
      next: state.paused ? [] : info.nextActionTimes.map((time) => time.toISOString()),
    });
  }
  return found.toSorted((a, b) => (a.schedule < b.schedule ? -1 : 1));
}
