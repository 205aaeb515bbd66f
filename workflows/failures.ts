import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, isCancellation, TerminatedFailure } from '@temporalio/workflow';
import type { RunFailure, RunSummary } from '../model/run.ts';

/** The failure an activity or a child ended with, without Temporal's wrapping. */
export function rootOf(error: unknown): unknown {
  return (error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) && error.cause ? error.cause : error;
}

/** A failure as it is recorded. */
export function describeFailure(error: unknown): RunFailure {
  const root = rootOf(error);
  if (root instanceof TerminatedFailure) {
    return {
      type: 'Terminated',
      message: 'The run was terminated by hand. What it had applied stays; no marker moved. The next run repairs the rest.',
    };
  }
  if (root instanceof ApplicationFailure) {
    const details = root.details?.[0];
    return {
      type: root.type ?? 'Unexpected',
      message: root.message,
      ...(typeof details === 'object' && details !== null ? { details: details as NonNullable<RunFailure['details']> } : {}),
    };
  }
  if (isCancellation(error)) return { type: 'Cancelled', message: 'The run was cancelled.' };
  return { type: 'Unexpected', message: root instanceof Error ? root.message : String(root) };
}

/** What a workflow ends with: the typed failure, carrying the recorded run so that nobody needs to look it up. */
export function failWith(failure: RunFailure, run: RunSummary): ApplicationFailure {
  return ApplicationFailure.create({ type: failure.type, message: failure.message, nonRetryable: true, details: [{ run }] });
}
