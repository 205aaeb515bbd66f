import type { Client } from '@temporalio/client';
import { scheduleIdPrefix } from '../model/workflow-ids.ts';
import { type IntegrationOverview, readOverview } from '../store/read-overview.ts';
import type { Store } from '../store/store.ts';

/** One integration: what the database knows of it, and what Temporal is doing and will do for it. */
export interface IntegrationStatus extends IntegrationOverview {
  /** Open workflows: the run, and requests that wait for it or carry it. */
  readonly open: readonly OpenWorkflow[];
  readonly schedules: readonly ScheduleStatus[];
}

export interface OpenWorkflow {
  readonly workflowId: string;
  readonly kind: 'run' | 'request';
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
  return Promise.all(
    overviews.map(async (overview) => ({
      ...overview,
      open: await listOpen(temporal, overview.integration),
      schedules: schedules.filter(({ schedule }) => schedule.startsWith(`${scheduleIdPrefix}${overview.integration}/`)),
    })),
  );
}

async function listOpen(temporal: Client, integration: string): Promise<readonly OpenWorkflow[]> {
  const open: OpenWorkflow[] = [];
  for await (const workflow of temporal.workflow.list({ query: `IntegrationId = '${integration}' AND ExecutionStatus = 'Running'` })) {
    const mode = workflow.searchAttributes.SyncMode?.[0];
    open.push({
      workflowId: workflow.workflowId,
      kind: workflow.type === 'syncIntegration' ? 'run' : 'request',
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
