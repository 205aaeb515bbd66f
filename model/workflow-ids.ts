/** What identities go by where an integration is named: in requests, runs, schedules and markers. No integration may have the name. */
export const identitiesName = 'identities';

/** The one workflow id of an integration's runs: the server allows one open workflow per id, so two runs cannot exist. */
export function syncWorkflowId(integration: string): string {
  return integration === identitiesName ? identitiesName : `sync/${integration}`;
}

/** The workflow id of launchers that a schedule starts; Temporal appends the time of the tick. */
export function launchWorkflowId(integration: string, schedule: string): string {
  return `launch/${integration}/${schedule}`;
}

/** The id of a schedule of the configuration. */
export function scheduleId(integration: string, schedule: string): string {
  return `${scheduleIdPrefix}${integration}/${schedule}`;
}

/** What the ids of all schedules that Tidemark owns begin with. */
export const scheduleIdPrefix = 'tidemark/';

/** The id of the schedule that starts `maintain`; one for each database. Integrations' names can't collide with it. */
export function maintenanceScheduleId(database: string): string {
  return `tidemark-maintain/${database}`;
}

/** The workflow id of `maintain`; Temporal appends the time of the tick. */
export function maintenanceWorkflowId(database: string): string {
  return `maintain/${database}`;
}

/** The task queue where launchers wait for a run to close, beside the one where work is done. */
export function waitTaskQueue(taskQueue: string): string {
  return `${taskQueue}-wait`;
}
