import { awaitClose } from './await-close.ts';
import { begin } from './begin.ts';
import { cancelLauncher } from './cancel-launcher.ts';
import { cleanup } from './cleanup.ts';
import { commit } from './commit.ts';
import { decline } from './decline.ts';
import type { Dependencies } from './dependencies.ts';
import { describeIntegration } from './describe-integration.ts';
import { explain } from './explain.ts';
import { fail } from './fail.ts';
import { beginIdentities } from './identities/begin.ts';
import { commitIdentities } from './identities/commit.ts';
import { collectIdentities, composeIdentities, joinIdentities } from './identities/passes.ts';
import { isCarried } from './is-carried.ts';
import { lookup } from './lookup.ts';
import { closeAbandonedRuns, expireChanges, purgeObjects, removeLeftovers, removeRuns } from './maintenance.ts';
import { membership } from './membership.ts';
import { query } from './query.ts';
import { readHeld } from './read-held.ts';
import { recordOutcome } from './record-outcome.ts';
import { rehearse } from './rehearse.ts';
import { remap } from './remap.ts';
import { reread } from './reread.ts';
import { transform } from './transform.ts';
import { upsert } from './upsert.ts';

/** The activities of one worker process. */
export function createActivities(deps: Dependencies) {
  return {
    begin: begin(deps),
    query: query(deps),
    remap: remap(deps),
    reread: reread(deps),
    readHeld: readHeld(deps),
    transform: transform(deps),
    lookup: lookup(deps),
    upsert: upsert(deps),
    membership: membership(deps),
    cleanup: cleanup(deps),
    rehearse: rehearse(deps),
    commit: commit(deps),
    decline: decline(deps),
    beginIdentities: beginIdentities(deps),
    collectIdentities: collectIdentities(deps),
    joinIdentities: joinIdentities(deps),
    composeIdentities: composeIdentities(deps),
    commitIdentities: commitIdentities(deps),
    fail: fail(deps),
    cancelLauncher: cancelLauncher(deps),
    recordOutcome: recordOutcome(deps),
    describeIntegration: describeIntegration(deps),
    isCarried: isCarried(deps),
    explain: explain(deps),
    closeAbandonedRuns: closeAbandonedRuns(deps),
    removeLeftovers: removeLeftovers(deps),
    expireChanges: expireChanges(deps),
    purgeObjects: purgeObjects(deps),
    removeRuns: removeRuns(deps),
  };
}

/** The activities of the queue where launchers wait; apart from the others, so that waiting never takes a place from work. */
export function createWaitActivities(deps: Dependencies) {
  return { awaitClose: awaitClose(deps) };
}

export type Activities = ReturnType<typeof createActivities>;
export type WaitActivities = ReturnType<typeof createWaitActivities>;
