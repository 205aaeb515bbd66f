import { ServiceError } from '@temporalio/client';
import { describe, expect, it } from 'vitest';
import { tellError } from '../../../cli/errors.ts';
import { TidemarkFailure } from '../../../model/failure.ts';

const addresses = { database: 'db.example:5432', temporal: 'temporal.example:7233' };

function withCode(code: string, message = 'password=hunter2'): Error {
  return Object.assign(new Error(message), { code });
}

describe('what an error tells the operator', () => {
  it('is the failure and its remedy, and a wrong configuration is a mistake of usage', () => {
    expect(
      tellError(new TidemarkFailure('InvalidConfiguration', 'There is no integration x.', { remedy: 'There is: y.' }), addresses),
    ).toEqual({
      text: 'There is no integration x. There is: y.',
      code: 2,
    });
    expect(tellError(new TidemarkFailure('SourceUnavailable', 'Gone.'), addresses).code).toBe(1);
  });

  it.each([
    ['ECONNREFUSED', /can't be reached \(ECONNREFUSED\).*DATABASE_URL/],
    ['28P01', /refused the sign-in/],
    ['3D000', /no database of this name/],
    ['42P01', /tidemark migrate/],
  ])('is the database with its remedy for %s, also where a library wraps it, and never a secret', (code, text) => {
    const wrapped = new Error('wrapped', { cause: withCode(code) });
    for (const error of [withCode(code), wrapped]) {
      const told = tellError(error, addresses);
      expect(told.text).toMatch(text);
      expect(told.text).toContain('db.example:5432');
      expect(told.text).not.toContain('hunter2');
      expect(told.code).toBe(1);
    }
  });

  it('is that Temporal is late, not that it is gone, where it does not answer in time', () => {
    const late = Object.assign(new Error('4 DEADLINE_EXCEEDED'), { code: 4, details: 'context deadline exceeded', metadata: {} });
    const told = tellError(new ServiceError('Failed to describe schedule', { cause: late }), addresses);
    expect(told.text).toMatch(/temporal.example:7233 did not answer in time.*Run the command again/);
    expect(told.code).toBe(1);
  });
});
