import { expect, test } from 'vitest';
import { dialect } from '../../../connectors/active-directory/dialect.ts';
import { connectionFailure, requestFailure, signInFailure } from '../../../connectors/directory/failures.ts';

const host = 'dc1.corp.example:636';
const serverText = (code: string): string => `80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data ${code}, v1db1`;

test.each([
  ['52e', 'password is wrong'],
  ['532', 'expired'],
  ['533', 'disabled'],
  ['775', 'locked'],
])('a refused sign-in with data %s says "%s"', (code, words) => {
  expect(signInFailure(dialect, host, 49, serverText(code))).toMatchObject({
    type: 'AuthenticationFailed',
    message: expect.stringContaining(words),
  });
});

test('a refused sign-in without a known code is still one', () => {
  expect(signInFailure(dialect, host, 49, '')).toMatchObject({ type: 'AuthenticationFailed', message: expect.stringContaining('49') });
});

test('a domain controller that is unavailable at sign-in refuses nobody', () => {
  expect(signInFailure(dialect, host, 52, 'going down')).toMatchObject({ type: 'SourceUnavailable' });
});

test.each([
  [3, 'ListingIncomplete'],
  [4, 'ListingIncomplete'],
  [10, 'ListingIncomplete'],
  [11, 'ListingIncomplete'],
  [12, 'InvalidConfiguration'],
  [32, 'InvalidConfiguration'],
  [34, 'InvalidConfiguration'],
  [50, 'RightsMissing'],
  [51, 'RateLimited'],
  [52, 'SourceUnavailable'],
  [1, 'SourceUnavailable'],
] as const)('result code %i of a listing is %s, with a remedy', (status, type) => {
  expect(requestFailure(dialect, host, 'stream users', status, '')).toMatchObject({ type, details: { remedy: expect.any(String) } });
});

test('an untrusted certificate is configuration, a refused connection is not', () => {
  const error = (code: string): Error => Object.assign(new Error(code), { code });
  for (const code of ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'SELF_SIGNED_CERT_IN_CHAIN', 'CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID']) {
    expect(connectionFailure(dialect, host, 'Connecting to', error(code))).toMatchObject({ type: 'InvalidConfiguration' });
  }
  for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'ETIMEDOUT', 'ECONNRESET']) {
    expect(connectionFailure(dialect, host, 'Connecting to', error(code))).toMatchObject({ type: 'SourceUnavailable' });
  }
});
