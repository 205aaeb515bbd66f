import type { DecisionMode, RequestedMode } from './run.ts';

/** Every kind of request that `launchSync` takes. */
export const requestedModes: readonly RequestedMode[] = ['auto', 'complete', 'delta', 'remap', 'approve', 'decline'];

/** Whether the request carries a person's decision on held deletions. */
export function isDecision(mode: RequestedMode): mode is DecisionMode {
  return mode === 'approve' || mode === 'decline';
}

/** Whether a request that finds a run open waits for its turn; the others are skipped. */
export function waitsForItsTurn(mode: RequestedMode): boolean {
  return mode === 'complete' || mode === 'remap' || isDecision(mode);
}

/** A request in words: `delta sync`, `remap`. */
export function nameRequest(mode: RequestedMode): string {
  if (mode === 'approve') return 'approval of held deletions';
  if (mode === 'decline') return 'refusal of held deletions';
  return mode === 'remap' ? mode : `${mode} sync`;
}
