import { isTidemarkFailure, type TidemarkFailure } from '../../model/failure.ts';
import type { Ability } from './source.ts';

/** A connector does not do what the contract asks for. */
export class Nonconformance extends Error {
  override readonly name = 'Nonconformance';
}

/** A check can't be made with this source or this connector. */
export class NotShownHere extends Error {
  override readonly name = 'NotShownHere';
}

/** Fails the check unless the condition holds. */
export function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Nonconformance(message);
}

/** The action, or the end of the check as not shown. Checks ask for what they need before they do anything. */
export function can<Action extends object>(ability: Ability<Action>): Action {
  if ('notShown' in ability) throw new NotShownHere(ability.notShown);
  return ability;
}

/** The failure that the work ends with, which must be one of the contract's; `undefined` if it succeeds. Findings of the kit itself pass through. */
export async function failureOf(work: () => Promise<void>): Promise<TidemarkFailure | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (isTidemarkFailure(error)) return error;
    if (error instanceof Nonconformance || error instanceof NotShownHere) throw error;
    throw new Nonconformance(`a connector throws only TidemarkFailures, but this one threw ${describe(error)}`);
  }
}

/** An error in one line. */
export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
