import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { toApplicationFailure } from '../../../activities/failures.ts';
import { TidemarkFailure } from '../../../model/failure.ts';

const withCode = (code: string) => Object.assign(new Error('key (uid)=(jane) of a person'), { code });
const late = 100;

describe('a trouble of the database that ends by itself', () => {
  it.each([
    ['the connection is refused', withCode('ECONNREFUSED')],
    ['the pipe is broken', withCode('EPIPE')],
    ['the connection was cut', new Error('Connection terminated unexpectedly')],
    ['no connection of the pool became free', new Error('timeout exceeded when trying to connect')],
    ['the server shuts down', withCode('57P01')],
    ['a lock was not to be had', withCode('55P03')],
    ['the transaction was chosen to break a deadlock', withCode('40P01')],
    ['the disk is full', withCode('53100')],
    ['the session was ended while a transaction was idle', withCode('25P03')],
    ['the server has become a standby', withCode('25006')],
  ])('is tried again however often it comes: %s', (_, error) => {
    expect(toApplicationFailure(error, late)).toMatchObject({ type: 'DatabaseUnavailable', nonRetryable: false });
  });
});

describe('what people are told of the database', () => {
  it.each(['57014', '25P03', '53100'])('is that it refused a statement, with the code, where it has answered: %s', (code) => {
    expect((toApplicationFailure(withCode(code), 1) as ApplicationFailure).message).toContain(`SQLSTATE ${code}`);
  });

  it.each(['ECONNREFUSED', 'EPIPE'])('is that it can not be reached, where it has not: %s', (code) => {
    expect((toApplicationFailure(withCode(code), 1) as ApplicationFailure).message).toContain(`can't be reached (${code})`);
  });
});

describe('any other refusal of the database', () => {
  it('is tried five times, and told by its code alone: texts of PostgreSQL quote rows', () => {
    const refused = toApplicationFailure(withCode('23514'), 4) as ApplicationFailure;
    expect(refused).toMatchObject({ type: 'DatabaseError', nonRetryable: false });
    expect(refused.message).toContain('23514');
    expect(refused.message).not.toContain('jane');
    expect(toApplicationFailure(withCode('23514'), 5)).toMatchObject({ nonRetryable: true });
  });
});

describe('a failure that a connector or the engine names', () => {
  it('keeps its type, its details and the time to wait', () => {
    const failure = new TidemarkFailure('SourceUnavailable', 'away', { remedy: 'wait', retryAfterMs: 5_000 });
    expect(toApplicationFailure(failure, 1)).toMatchObject({ type: 'SourceUnavailable', nonRetryable: false, nextRetryDelay: 5_000 });
    expect(toApplicationFailure(failure, 1, true)).toMatchObject({ nonRetryable: true });
  });

  it.each(['InvalidConfiguration', 'AuthenticationFailed', 'RightsMissing', 'StaleRun', 'StagingLost'] as const)(
    'is final where the next attempt would only repeat it: %s',
    (type) => {
      expect(toApplicationFailure(new TidemarkFailure(type, 'so it is'), 1)).toMatchObject({ nonRetryable: true });
    },
  );

  it('is final when a listing has failed its proof three times', () => {
    const failure = new TidemarkFailure('ListingIncomplete', 'cut short');
    expect([1, 2, 3].map((attempt) => (toApplicationFailure(failure, attempt) as ApplicationFailure).nonRetryable)).toEqual([
      false,
      false,
      true,
    ]);
  });
});

describe('what is not an error of the step', () => {
  it('passes as it is: a cancellation, a failure that is ready made', () => {
    const ready = ApplicationFailure.create({ type: 'Ready' });
    expect(toApplicationFailure(ready, 1)).toBe(ready);
    expect(toApplicationFailure(new DOMException('over', 'AbortError'), 1)).toBeInstanceOf(CancelledFailure);
  });
});
