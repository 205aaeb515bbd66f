/** The one workflow id of an integration's runs: the server allows one open workflow per id, so two runs cannot exist. */
export function syncWorkflowId(integration: string): string {
  return `sync/${integration}`;
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

/** The task queue where launchers wait for a run to close, beside the one where work is done. */
export function waitTaskQueue(taskQueue: string): string {
  return `${taskQueue}-wait`;
}
