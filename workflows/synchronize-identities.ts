import type { RunSummary, SyncRequest } from '../model/run.ts';
import { identitiesName } from '../model/workflow-ids.ts';
import { storeActivities } from './activities.ts';
import { type Course, carryOut } from './carry-out.ts';

/**
 * One run over the objects of all integrations, always under the workflow id `identities`, started by `launchSync`: joins objects of one
 * person and composes that person's attributes, of everything or of what the change feed says has changed.
 */
export async function synchronizeIdentities(request: SyncRequest): Promise<RunSummary> {
  return carryOut('synchronizeIdentities', { ...request, integration: identitiesName }, describeSuccess, execute);
}

async function execute(course: Course): Promise<RunSummary> {
  const { request, steps } = course;
  const plan = await course.step('begin', 'settle the mode, take the next marker', (summary) =>
    storeActivities.beginIdentities.executeWithOptions({ summary }, [request]),
  );
  course.settled(plan, true);
  const noted = await course.step('collect', plan.mode === 'complete' ? 'note all objects' : 'note what has changed', (summary) =>
    storeActivities.collectIdentities.executeWithOptions({ summary }, [plan]),
  );
  if (noted) {
    await course.step('join', 'find whose each object is', (summary) =>
      storeActivities.joinIdentities.executeWithOptions({ summary }, [plan]),
    );
    await course.step('compose', 'gather what is known of each', (summary) =>
      storeActivities.composeIdentities.executeWithOptions({ summary }, [plan]),
    );
  }
  return course.step('commit', 'advance the marker', (summary) =>
    storeActivities.commitIdentities.executeWithOptions({ summary }, [{ plan, steps }]),
  );
}

function describeSuccess(run: RunSummary): string {
  const totals = run.streams[identitiesName];
  return `Succeeded as run ${run.id}: ${run.reason ?? ''}\n- ${totals?.read} objects joined, identities: ${totals?.created} created, ${totals?.updated} updated, ${totals?.deleted} ended, ${totals?.restored} restored; ${totals?.held} objects wait for a person to decide`;
}
