import { expect, test } from 'vitest';
import { instantMsFrom1601Seconds } from '../../../connectors/active-directory/directory-time.ts';
import { parseExtendedDn } from '../../../connectors/active-directory/extended-dn.ts';
import { parseRange } from '../../../connectors/active-directory/ranged-values.ts';
import { isAtOrBelow } from '../../../connectors/directory/distinguished-name.ts';
import { attributesInFilter, parseFilter } from '../../../connectors/directory/filter-text.ts';
import { generalizedTime, isoFromGeneralizedTime } from '../../../connectors/directory/generalized-time.ts';

test.each([
  [
    '<GUID=9BD2825D-f000-41c4-aafb-3be90c28c0c8>;<SID=S-1-5-21-1-2-3-1103>;CN=g1,DC=corp',
    '9bd2825d-f000-41c4-aafb-3be90c28c0c8',
    'CN=g1,DC=corp',
  ],
  ['<GUID=9bd2825d-f000-41c4-aafb-3be90c28c0c8>;OU=a\\, b;c,DC=corp', '9bd2825d-f000-41c4-aafb-3be90c28c0c8', 'OU=a\\, b;c,DC=corp'],
  ['CN=u1\nDEL:x,CN=Deleted Objects,DC=corp', undefined, 'CN=u1\nDEL:x,CN=Deleted Objects,DC=corp'],
])('the extended DN %j is split into id and DN', (text, guid, dn) => {
  expect(parseExtendedDn(text)).toEqual(guid === undefined ? { dn } : { guid, dn });
});

test.each([
  ['CN=a,OU=Staff,DC=corp', 'ou=staff, dc=CORP', true],
  ['OU=Staff,DC=corp', 'OU=Staff,DC=corp', true],
  ['CN=a,OU=Other Staff,DC=corp', 'OU=Staff,DC=corp', false],
  ['CN=x\\,OU=Staff,DC=corp', 'OU=Staff,DC=corp', false],
  ['CN=a,OU=Sales\\2C Inc,DC=corp', 'OU=Sales\\, Inc,DC=corp', true],
  ['CN=a,OU=M\\C3\\BCnchen,DC=corp', 'OU=München,DC=corp', true],
  ['CN=a,OU=Staff\\\\,DC=corp', 'OU=Staff\\\\,DC=corp', true],
  ['CN=a,OU=x\\\\2C,DC=corp', 'OU=x\\,,DC=corp', false],
  ['DC=corp', 'OU=Staff,DC=corp', false],
])('%s is at or below %s: %s', (dn, ancestor, expected) => {
  expect(isAtOrBelow(dn, ancestor)).toBe(expected);
});

test.each([
  ['member;range=0-1499', { first: 0, last: 1499 }],
  ['member;range=1500-*', { first: 1500, last: '*' }],
  ['member;Range=0-9', { first: 0, last: 9 }],
  ['member', undefined],
  ['userCertificate;binary', undefined],
])('the description %s has the range %j', (description, range) => {
  expect(parseRange(description)).toEqual(range);
});

test.each([
  'objectClass=user',
  '(objectClass=user',
  '(&(a=b)(c=d)',
  '(a=b)(c=d)',
  '',
  '(objectGUID=\\c3\\28\\ff\\01)',
  '(sn=M\\c3\\bcller)',
])('%j is no filter that can be used', (text) => {
  expect(parseFilter(text)).toMatchObject({ valid: false });
});

test('the attributes a filter compares are found at any depth', () => {
  const checked = parseFilter(
    '(&(objectClass=user)(!(|(memberOf:1.2.840.113556.1.4.1941:=CN=g,DC=corp)(sn=A*b*)))(whenChanged>=20260101000000.0Z)(mail=*)(cn~=x))',
  );
  if (!checked.valid) throw new Error(checked.reason);
  expect([...attributesInFilter(checked.filter)].toSorted()).toEqual(['cn', 'mail', 'memberof', 'objectclass', 'sn', 'whenchanged']);
});

test('directory times become ISO 8601 and back', () => {
  expect(isoFromGeneralizedTime('20261121122045.0Z')).toBe('2026-11-21T12:20:45.000Z');
  expect(isoFromGeneralizedTime('20261321122045.0Z')).toBeUndefined();
  expect(isoFromGeneralizedTime('2026-11-21')).toBeUndefined();
  expect(generalizedTime(Date.parse('2026-11-21T12:20:45.999Z'))).toBe('20261121122045.0Z');
  expect(instantMsFrom1601Seconds(13_434_560_445n)).toBe(1_790_086_845_000);
});
