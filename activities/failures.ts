import { ApplicationFailure, ApplicationFailureCategory, CancelledFailure } from '@temporalio/common';
import { type FailureType, TidemarkFailure, tellFailure } from '../model/failure.ts';
import { isConnectionLoss, isPassing } from '../store/connection-loss.ts';

/** Failures that the same attempt made again would only repeat. */
const final: readonly FailureType[] = [
  'InvalidConfiguration',
  'AuthenticationFailed',
  'RightsMissing',
  'ServerChanged',
  'StaleRun',
  'StagingLost',
  'PlanChanged',
];

/** A listing that is not proven complete is tried again; more often than this it is not bad luck. */
const listingAttempts = 3;

/** An error that is none of ours is a defect or a passing trouble of the machine; it gets this many attempts. */
const unexpectedAttempts = 5;

/**
 * The only shape in which errors leave an activity: typed, with remedy, free of personal data. Errors of PostgreSQL are reduced to their
 * SQLSTATE because their texts quote rows.
 */
export function toApplicationFailure(error: unknown, attempt: number, giveUp = false): Error {
  if (error instanceof ApplicationFailure || error instanceof CancelledFailure) return error;
  if (error instanceof TidemarkFailure) {
    return ApplicationFailure.create({
      type: error.type,
      message: tellFailure(error),
      details: [error.details],
      // Waiting in line is no failure that anybody should be told of or that metrics should count.
      ...(error.type === 'SourceBusy' ? { category: ApplicationFailureCategory.BENIGN } : {}),
      nonRetryable: giveUp || final.includes(error.type) || (error.type === 'ListingIncomplete' && attempt >= listingAttempts),
      ...(error.details.retryAfterMs === undefined ? {} : { nextRetryDelay: error.details.retryAfterMs }),
    });
  }
  if (isAbort(error)) return new CancelledFailure('The activity was cancelled.');
  const { type, message, passing } = describeUnexpected(error);
  return ApplicationFailure.create({ type, message, nonRetryable: !passing && attempt >= unexpectedAttempts });
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

interface Unexpected {
  readonly type: string;
  readonly message: string;
  /** Ends by itself: the database restarts, refuses connections, or chose this transaction as a deadlock's victim. */
  readonly passing: boolean;
}

/** Every code of PostgreSQL has a digit, none of Node's five-letter ones does. */
const sqlState = /^(?=.*\d)[0-9A-Z]{5}$/;

function describeUnexpected(error: unknown): Unexpected {
  const { code, table } = error as { readonly code?: unknown; readonly table?: unknown };
  if (typeof code === 'string' && sqlState.test(code)) {
    const passing = isPassing(code);
    return {
      type: passing ? 'DatabaseUnavailable' : 'DatabaseError',
      message: `PostgreSQL refused a statement with SQLSTATE ${code}${table ? ` on table ${table}` : ''}; its log has the whole text.`,
      passing,
    };
  }
  if (isConnectionLoss(error)) {
    const told = typeof code === 'string' ? ` (${code})` : '';
    return {
      type: 'DatabaseUnavailable',
      message: `PostgreSQL can't be reached${told}. The step is tried again until it can.`,
      passing: true,
    };
  }
  const name = error instanceof Error ? error.name : typeof error;
  return { type: 'Unexpected', message: `${name}: ${error instanceof Error ? error.message : String(error)}`, passing: false };
}
