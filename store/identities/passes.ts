import type pg from 'pg';
import type { IdentityPlan } from '../../model/identity-run.ts';
import { findPlace } from '../sql/feed-cursor.ts';
import { inRanges } from './batches.ts';
import { collectAll, collectChanged, collectRest, forgetPending, objectEnds } from './collect.ts';
import { anyIdentity, composeRange, continueIdentities, staleEnds } from './compose.ts';
import { correlateBatch, correlateRange, pendingEnds } from './correlate.ts';
import type { Specification } from './specification.ts';
import { addTotals } from './totals.ts';

/** How a pass makes its transactions, and what it tells between them. */
export interface Pass {
  /**
   * `exclusive` orders it after every other; `shared` lets those of ranges go side by side, and does not wait for the disk: what a crash takes
   * back of the work it takes back of the note, too. Each pass ends with one that waits.
   */
  transaction<T>(lock: 'exclusive' | 'shared', work: (client: pg.ClientBase) => Promise<T>): Promise<T>;
  /** Told how many rows the pass has gone through. */
  progress(rows: number): void;
  readonly spec: Specification;
  /** How many objects are joined, or identities composed, in one transaction. */
  readonly batchSize: number;
  readonly plan: Pick<IdentityPlan, 'mode' | 'anew' | 'marker' | 'claim'>;
}

/** Notes which objects are to be joined anew: all, or those that changed since the marker. Done again it notes the same. */
export async function collect({ transaction, progress, spec, plan }: Pass): Promise<void> {
  let noted = 0;
  const count = (more: number) => {
    noted += more;
    progress(noted);
  };
  if (plan.mode === 'complete') {
    if (plan.anew) await transaction('exclusive', forgetPending);
    await inRanges(
      (after) => transaction('shared', (client) => objectEnds(client, after)),
      async (range) => count(await transaction('shared', (client) => collectAll(client, spec, range))),
    );
    count(await transaction('exclusive', (client) => collectRest(client, spec)));
    return;
  }
  const { stored, next } = plan.marker;
  if (!stored) return;
  const upTo = await transaction('exclusive', (client) => findPlace(client, next.position));
  for (let from = await transaction('exclusive', (client) => findPlace(client, stored.marker.position)); ; ) {
    const page = await transaction('exclusive', (client) => collectChanged(client, spec, from, upTo));
    count(page.noted);
    if (page.next === null) return;
    from = page.next;
  }
}

/**
 * Decides for each object that is noted whose identity it belongs to: source after source, as each depends on those before it. A complete run
 * does it side by side, and then for those objects of the source that depend on others of it.
 */
export async function joinAll({ transaction, progress, spec, batchSize: size, plan }: Pass): Promise<void> {
  const wakes = plan.mode === 'delta';
  let joined = 0;
  const join = async (lock: 'exclusive' | 'shared', correlate: (client: pg.ClientBase) => Promise<number>): Promise<number> => {
    const objects = await transaction(lock, async (client) => {
      const read = await correlate(client);
      if (read > 0) await addTotals(client, plan.claim.runId, { read });
      return read;
    });
    joined += objects;
    progress(joined);
    return objects;
  };
  for (let level = 0; level <= spec.levels; level++) {
    const parameters = { spec, level, size, wakes };
    if (!wakes) {
      const ends = (after: string) => transaction('shared', (client) => pendingEnds(client, parameters, after));
      await inRanges(ends, async (range) => {
        await join('shared', (client) => correlateRange(client, parameters, range));
      });
    }
    while ((await join('exclusive', (client) => correlateBatch(client, parameters))) > 0);
  }
}

/** Composes the identities that the joining, or a change of what they depend on, has made doubtful. */
export async function composeAll({ transaction, progress, spec, batchSize, plan }: Pass): Promise<void> {
  for (let after = (await transaction('shared', anyIdentity)) ? '0' : null; after !== null; ) {
    const from: string = after;
    after = await transaction('exclusive', (client) => continueIdentities(client, spec, from, batchSize));
    progress(0);
  }
  let composed = 0;
  const ends = (after: string) => transaction('shared', (client) => staleEnds(client, after, batchSize));
  await inRanges(ends, async (range) => {
    const totals = await transaction('shared', async (client) => {
      const found = await composeRange(client, spec, range);
      await addTotals(client, plan.claim.runId, found);
      return found;
    });
    composed += Object.values(totals).reduce((sum, number) => sum + number, 0);
    progress(composed);
  });
  // The one that waits for the disk.
  await transaction('exclusive', async () => undefined);
}
