import type { IdentityPlan } from '../../model/identity-run.ts';
import { fenced } from '../../store/fence.ts';
import { collect, composeAll, joinAll, type Pass } from '../../store/identities/passes.ts';
import { specify } from '../../store/identities/specification.ts';
import type { Dependencies } from '../dependencies.ts';
import { attemptOf, step } from '../step.ts';

/** Notes what is to be joined anew. Returns whether anything is noted, by this run or by one that was cut off. */
export function collectIdentities(deps: Dependencies) {
  return async (plan: IdentityPlan): Promise<boolean> => {
    await pass(deps, plan, 'collect', collect);
    const { rows } = await deps.store.pool.query<{ noted: boolean }>(
      `select exists (select from tidemark.identity_pending) or exists (select from tidemark.identity_stale) as noted`,
    );
    return rows[0]?.noted ?? false;
  };
}

/** Finds whose each noted object is. */
export function joinIdentities(deps: Dependencies) {
  return (plan: IdentityPlan): Promise<void> => pass(deps, plan, 'join', joinAll);
}

/** Begins and ends identities, lets those go on whose person is still there, and gathers their attributes. */
export function composeIdentities(deps: Dependencies) {
  return (plan: IdentityPlan): Promise<void> => pass(deps, plan, 'compose', composeAll);
}

/** One attempt of a pass, each transaction of which is fenced. */
function pass(deps: Dependencies, plan: IdentityPlan, name: string, work: (parts: Pass) => Promise<void>): Promise<void> {
  return step(name, Number.POSITIVE_INFINITY, async ({ signal, progress }) => {
    const { rules } = await deps.identities(plan.configId);
    const attempt = await attemptOf(deps, plan.claim, name);
    await work({
      plan,
      spec: specify(rules),
      batchSize: 10_000,
      transaction: (lock, run) => {
        signal.throwIfAborted();
        return fenced(deps.store.pool, attempt, lock, run);
      },
      progress: (rows) => progress(undefined, rows),
    });
  });
}
