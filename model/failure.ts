/**
 * The typed failures of Tidemark. Every error an operator can meet is one of these; it names the integration, the object where there is
 * one, and the remedy. In Temporal the type is the `ApplicationFailure` type, so retry policies and people see the same word.
 */
export const failureTypes = [
  'InvalidConfiguration',
  'AuthenticationFailed',
  'RightsMissing',
  'SourceUnavailable',
  'RateLimited',
  'SourceBusy',
  'ListingIncomplete',
  'ServerChanged',
  'StaleRun',
  'StagingLost',
  'PlanChanged',
  'CursorExpired',
  'CursorUnknown',
] as const;

export type FailureType = (typeof failureTypes)[number];

export interface FailureDetails {
  readonly integration?: string;
  readonly stream?: string;
  /** The object's source id; never a name, an address or anything else that is personal data. */
  readonly object?: string;
  /** What the operator can do, one sentence. */
  readonly remedy?: string;
  /** The wait the source itself asked for (Retry-After, busy). */
  readonly retryAfterMs?: number;
}

/** An error with a type, its place and a remedy. The message carries no secret and no personal data: it is stored and shown. */
export class TidemarkFailure extends Error {
  override readonly name = 'TidemarkFailure';
  readonly type: FailureType;
  readonly details: FailureDetails;

  constructor(type: FailureType, message: string, details: FailureDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.type = type;
    this.details = details;
  }
}

/** A failure as people read it: what happened, then the remedy. */
export function tellFailure({ message, details: { remedy } }: TidemarkFailure): string {
  if (remedy === undefined) return message;
  return /[.!?:]$/.test(message) ? `${message} ${remedy}` : `${message}. ${remedy}`;
}

export function isTidemarkFailure(error: unknown): error is TidemarkFailure {
  return error instanceof TidemarkFailure;
}
