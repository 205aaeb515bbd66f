import { ServiceError } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { patiently } from '../../../cli/patiently.ts';

/** Codes of gRPC (grpc.github.io, "Status codes"). */
const deadlineExceeded = 4;
const permissionDenied = 7;

function refused(code: number): ServiceError {
  const cause = Object.assign(new Error('refused'), { code, details: 'refused', metadata: {} });
  return new ServiceError('Failed to describe schedule', { cause });
}

/** Fails with these errors, one after another, and then answers with the number of times that it was asked. */
function failing(errors: readonly Error[]): () => Promise<number> {
  let asked = 0;
  return async () => {
    const error = errors[asked++];
    if (error) throw error;
    return asked;
  };
}

describe('asking Temporal patiently', () => {
  it('asks again while the server does not answer in time', async () => {
    const late = refused(deadlineExceeded);
    expect(await patiently(failing([late, late]))).toBe(3);
  });

  it('gives up after five times', async () => {
    const late = refused(deadlineExceeded);
    await expect(patiently(failing(Array(5).fill(late)))).rejects.toBe(late);
  });

  it('tells any other failure at once', async () => {
    const other = refused(permissionDenied);
    await expect(patiently(failing([other]))).rejects.toBe(other);
  });
});
