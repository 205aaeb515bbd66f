import { setCurrentDetails, sleep } from '@temporalio/workflow';
import type { MaintenanceRequest, MaintenanceResult } from '../model/maintenance.ts';
import { storeActivities } from './activities.ts';

/** How often, and after how long, integrations are tried again that had a run open when it was their turn. */
const attempts = 5;
const attemptEvery = '2 minutes';

/**
 * Removes what has outlived its retention: ends of runs that nobody recorded, what they staged, changes, deleted objects, runs; in this
 * order, because runs stay while changes refer to them. A schedule that `tidemark apply` makes starts it; started by hand beside it, or cut
 * off anywhere, it does no harm.
 */
export async function maintain(request: MaintenanceRequest): Promise<MaintenanceResult> {
  const closedRuns = await storeActivities.closeAbandonedRuns();
  const stagedRows = await storeActivities.removeLeftovers();
  const changes = await storeActivities.expireChanges(request);
  let { objects, busy } = await storeActivities.purgeObjects();
  const runs = await storeActivities.removeRuns(request);
  for (let attempt = 1; busy.length > 0 && attempt < attempts; attempt++) {
    setCurrentDetails(`Waiting for the open runs of ${busy.join(', ')}, to purge their deleted objects.`);
    await sleep(attemptEvery);
    const again = await storeActivities.purgeObjects();
    objects += again.objects;
    busy = again.busy;
  }
  setCurrentDetails(
    `Removed ${changes} changes, ${objects} deleted objects, ${runs} runs, ${stagedRows} staged rows; closed ${closedRuns} runs that had ended without a word.${busy.length > 0 ? ` Deleted objects of ${busy.join(', ')} wait for the next time.` : ''}`,
  );
  return { closedRuns, stagedRows, changes, objects, runs, busy };
}
