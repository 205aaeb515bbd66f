import { isGrpcDeadlineError } from '@temporalio/client';

const attempts = 5;

/**
 * Does the work again while Temporal doesn't answer in time, which the SDK leaves to its caller: a server with more to do than it can is
 * late, not gone. Only for work that may be done twice.
 */
export async function patiently<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === attempts || !isLate(error)) throw error;
    }
  }
}

/** Whether this is Temporal not answering in time, wrapped by the SDK's clients or not. */
export function isLate(error: unknown): boolean {
  return isGrpcDeadlineError(error) || (error instanceof Error && isGrpcDeadlineError(error.cause));
}
