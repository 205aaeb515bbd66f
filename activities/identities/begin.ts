import { isTidemarkFailure } from '../../model/failure.ts';
import type { IdentityPlan } from '../../model/identity-run.ts';
import type { SyncRequest } from '../../model/run.ts';
import { identitiesName } from '../../model/workflow-ids.ts';
import { specify } from '../../store/identities/specification.ts';
import { readMarkers, type StreamMarker } from '../../store/markers.ts';
import { findPlace, formatCursor, newestPlace, readDatabaseId } from '../../store/sql/feed-cursor.ts';
import { claimForRun, completeDueReason } from '../begin.ts';
import type { Dependencies } from '../dependencies.ts';
import { step } from '../step.ts';

/** Claims the identities, takes the next marker before anything is read, and settles the mode. */
export function beginIdentities(deps: Dependencies) {
  return (request: SyncRequest): Promise<IdentityPlan> =>
    step('begin', Number.POSITIVE_INFINITY, async () => {
      const { pool } = deps.store;
      const { claim, configId } = await claimForRun(deps, request);
      const { rules, schedules } = await deps.identities(configId);
      const { fingerprint } = specify(rules);
      const next = {
        kind: 'feed',
        position: formatCursor(await newestPlace(pool)),
        server: { id: await readDatabaseId(pool), name: 'change feed' },
        takenAt: new Date().toISOString(),
      };
      const stored = (await readMarkers(deps.store, identitiesName)).get(identitiesName);
      const doubt = await doubtAbout(deps, stored, fingerprint);
      const complete = request.mode === 'complete' ? 'a complete sync was requested' : doubt;
      const due = stored && request.mode === 'auto' ? completeDueReason(request, schedules, stored.completeAt) : undefined;
      const mode = (complete ?? due) === undefined ? 'delta' : 'complete';
      const reason = complete ?? due ?? 'changes since the stored marker';
      await pool.query(`update tidemark.sync_run set mode = $2, reason = $3 where id = $1`, [claim.runId, mode, reason]);
      return {
        claim,
        configId,
        mode,
        reason,
        marker: {
          stream: identitiesName,
          mode,
          stored: stored ? { marker: stored.marker, version: stored.version } : null,
          next,
          fingerprint,
          scope: '',
          mappingVersion: '',
        },
        anew: stored?.fingerprint !== fingerprint,
      };
    });
}

/** Why what has changed can't be told from the stored marker on; undefined if it can. */
async function doubtAbout(deps: Dependencies, stored: StreamMarker | undefined, fingerprint: string): Promise<string | undefined> {
  if (!stored) return 'there is no marker: identities were never synchronized, or it was reset';
  if (stored.fingerprint !== fingerprint) return 'the rules changed since the marker was taken';
  try {
    await findPlace(deps.store.pool, stored.marker.position);
    return undefined;
  } catch (error) {
    if (!isTidemarkFailure(error)) throw error;
    return `the marker is not valid: ${error.message}`;
  }
}
