import { Environment } from '@marcbachmann/cel-js';
import { expect, test } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { judgeMarker } from '../../../connectors/active-directory/markers.ts';
import type { DomainController } from '../../../connectors/active-directory/server.ts';

const given = {
  urls: ['ldaps://dc1.corp.example'],
  bindDn: 'CN=svc,DC=corp,DC=example',
  bindPassword: { env: 'PASSWORD' },
  baseDn: 'DC=corp,DC=example',
};
const settings = activeDirectory.settings.parse(given);
const block = (values: unknown) => activeDirectory.streamSettings.parse(values);
const users = (values: unknown = {}, more: Record<string, unknown> = {}) =>
  activeDirectory
    .streams(activeDirectory.settings.parse({ ...given, ...more }), { users: block(values) })
    .find(({ name }) => name === 'users');

test('users, groups and containers can be followed by deltas', () => {
  expect(activeDirectory.streams(settings, {}).map(({ name, delta }) => [name, delta])).toEqual([
    ['users', 'full'],
    ['groups', 'full'],
    ['containers', 'full'],
  ]);
});

test('a filter on a back-link makes a stream complete-only, and says why', () => {
  const stream = users({ filter: '(&(objectClass=user)(memberOf=CN=Sales,DC=corp,DC=example))' });
  expect(stream).toMatchObject({ delta: 'none', misses: [expect.stringContaining('memberof')] });
});

test('an attribute that each domain controller keeps for itself makes a stream complete-only', () => {
  expect(users({ attributes: ['lastLogon'] })).toMatchObject({ delta: 'none', misses: [expect.stringContaining('lastLogon')] });
});

test('deltas by whenChanged promise less, and say what', () => {
  expect(users({}, { marker: 'whenChanged' })).toMatchObject({ delta: 'partial', misses: [expect.any(String), expect.any(String)] });
});

test('what decides which objects are read is declared', () => {
  const queries = [
    users(),
    users({ filter: '(objectClass=user)' }),
    users({ base: 'OU=A,DC=corp,DC=example' }),
    users({ scope: 'onelevel' }),
    users({ attributes: ['info'] }),
  ];
  expect(new Set(queries.map((stream) => JSON.stringify([stream?.query, stream?.attributes]))).size).toBe(queries.length);
});

test.each([{ unknown: 1 }, { filter: '(objectClass=user' }, { attributes: ['not a name'] }, { scope: 'children' }])(
  'the stream block %j is refused',
  (values) => {
    expect(activeDirectory.streamSettings.safeParse(values).success).toBe(false);
  },
);

test.each([
  { ...given, urls: [] },
  { ...given, urls: ['https://dc1.corp.example'] },
  { ...given, urls: ['ldaps://dc1.corp.example:3269'] },
  { ...given, bindPassword: 'secret' },
  { ...given, filter: '(objectClass=user)' },
  { ...given, whenChangedOverlap: 'soon' },
])('the settings %j are refused', (values) => {
  expect(activeDirectory.settings.safeParse(values).success).toBe(false);
});

const cel = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });
const evaluate = (expression: string | undefined, source: Record<string, unknown>): unknown => cel.evaluate(expression ?? '', { source });

test.each([
  [{ userAccountControl: 512 }, true],
  [{ userAccountControl: 514 }, false],
  [{ userAccountControl: 66_050 }, false],
  [{ userAccountControl: 66_048 }, true],
  [{}, false],
])('an account with %j is active: %s', (source, active) => {
  expect(evaluate(users()?.mapping.active, source)).toBe(active);
});

test('the employee number is employeeNumber, else employeeID, else nothing', () => {
  const expression = users()?.mapping.employeeNumber;
  expect(evaluate(expression, { employeeNumber: '1', employeeID: '2' })).toBe('1');
  expect(evaluate(expression, { employeeID: '2' })).toBe('2');
  expect(evaluate(expression, {})).toBeNull();
});

const server: DomainController = {
  identity: { id: 'a', name: 'dc1.corp.example' },
  domainDn: 'DC=corp,DC=example',
  configurationDn: '',
  schemaDn: '',
  product: 'Samba',
  functionalLevel: 4,
  hasRecycled: true,
};
const now = {
  kind: 'usn',
  server,
  position: { highestCommittedUsn: 9_007_199_254_740_993n, currentTime: '2026-11-21T12:00:00.000Z' },
  tombstoneLifetimeDays: 60,
} as const;
const marker = { kind: 'usn', position: '9007199254740993', server: server.identity, takenAt: '2026-11-20T12:00:00.000Z' };

test('positions are compared as 64-bit numbers', () => {
  expect(judgeMarker(marker, now)).toEqual({ valid: true });
  expect(judgeMarker({ ...marker, position: '9007199254740994' }, now)).toMatchObject({ valid: false });
});

test.each([
  [{ position: 'many' }, 'not a number'],
  [{ takenAt: 'once' }, 'when it was taken'],
  [{ takenAt: '2026-09-22T12:00:00.000Z' }, 'tombstone lifetime'],
  [{ takenAt: '2026-11-23T12:00:00.000Z' }, 'clock'],
  [{ kind: 'csn' }, 'csn'],
  [{ server: { id: 'b', name: 'dc2.corp.example' } }, 'dc2.corp.example'],
  [{ server: { id: 'b', name: 'dc1.corp.example' } }, 'restored'],
])('a marker with %j is invalid: %s', (change, reason) => {
  expect(judgeMarker({ ...marker, ...change }, now)).toMatchObject({ valid: false, reason: expect.stringContaining(reason) });
});
