import type pg from 'pg';
import type { IdentityPlan } from '../../model/identity-run.ts';
import { findPlace } from '../sql/feed-cursor.ts';
import { collectAll, collectChanged, collectRest, forgetPending } from './collect.ts';
import { composeBatch, continueIdentities } from './compose.ts';
import { correlateBatch } from './correlate.ts';
import type { Specification } from './specification.ts';
import { addTotals } from './totals.ts';

/** How a pass makes its transactions, one after the other, and what it tells between them. */
export interface Pass {
  transaction<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T>;
  /** Told how many rows the pass has gone through. */
  progress(rows: number): void;
  readonly spec: Specification;
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
    if (plan.anew) await transaction(forgetPending);
    for (let after: string | null = '0'; after !== null; ) {
      const from: string = after;
      const page = await transaction((client) => collectAll(client, spec, from));
      count(page.noted);
      after = page.next;
    }
    count(await transaction((client) => collectRest(client, spec)));
    return;
  }
  const { stored, next } = plan.marker;
  if (!stored) return;
  const upTo = await transaction((client) => findPlace(client, next.position));
  for (let from = await transaction((client) => findPlace(client, stored.marker.position)); ; ) {
    const page = await transaction((client) => collectChanged(client, spec, from, upTo));
    count(page.noted);
    if (page.next === null) return;
    from = page.next;
  }
}

/** Decides for each object that is noted whose identity it belongs to: source after source, as each depends on those before it. */
export async function joinAll({ transaction, progress, spec, plan }: Pass): Promise<void> {
  let joined = 0;
  for (let level = 0; level <= spec.levels; level++) {
    for (let read = Number.NaN; read !== 0; ) {
      read = await transaction(async (client) => {
        const objects = await correlateBatch(client, { spec, level, wakes: plan.mode === 'delta' });
        if (objects > 0) await addTotals(client, plan.claim.runId, { read: objects });
        return objects;
      });
      joined += read;
      progress(joined);
    }
  }
}

/** Composes the identities that the joining, or a change of what they depend on, has made doubtful. */
export async function composeAll({ transaction, progress, spec, plan }: Pass): Promise<void> {
  for (let after: string | null = '0'; after !== null; ) {
    const from: string = after;
    after = await transaction((client) => continueIdentities(client, spec, from));
    progress(0);
  }
  for (let composed = 0; ; ) {
    const batch = await transaction(async (client) => {
      const totals = await composeBatch(client, spec);
      if (totals !== null) await addTotals(client, plan.claim.runId, totals);
      return totals;
    });
    if (batch === null) return;
    composed += Object.values(batch).reduce((sum, number) => sum + number, 0);
    progress(composed);
  }
}
