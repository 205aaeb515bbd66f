import { describe, expect, test } from 'vitest';
import type { LogCoverage } from '../../../connectors/ldap/access-log.ts';
import { changePositionText, parseChangePosition } from '../../../connectors/ldap/change-number.ts';
import { csnSet } from '../../../connectors/ldap/csn.ts';
import { judgeChangeNumber, judgeMarker } from '../../../connectors/ldap/markers.ts';
import type { DirectoryServer } from '../../../connectors/ldap/server.ts';
import type { Marker } from '../../../model/marker.ts';

const server: DirectoryServer = {
  identity: { id: '130e0006-7a2c-1041-9be2-efb3829816a7', name: 'ldap1.corp.example' },
  suffix: 'dc=corp,dc=example',
  schemaDn: 'cn=Subschema',
  accessLogDn: 'cn=accesslog',
  product: 'OpenLDAP',
};
const csn = (time: string, id = '000'): string => `20261121${time}.000000Z#000000#${id}#000000`;
const nowMs = Date.parse('2026-11-21T15:00:00Z');
const marker = (position: string, more: Partial<Marker> = {}): Marker => ({
  kind: 'csn',
  position,
  server: server.identity,
  takenAt: '2026-11-21T12:00:00.000Z',
  ...more,
});

interface State {
  readonly position?: readonly string[];
  readonly coverage?: LogCoverage;
  readonly entry?: boolean;
}

function judge(since: Marker, { position = [csn('130000')], coverage, entry = false }: State, kind: 'csn' | 'modifyTimestamp' = 'csn') {
  return judgeMarker(since, kind, server, nowMs, {
    position: csnSet(position),
    coverage: () => (coverage === undefined ? undefined : Promise.resolve(coverage)),
    hasEntryAt: async () => entry,
  });
}

test('a marker that the log covers is valid', async () => {
  expect(await judge(marker(csn('120000')), { coverage: { kind: 'covered' } })).toEqual({ valid: true });
});

test.each<[string, Marker, State, string]>([
  ['of another kind', marker('x', { kind: 'modifyTimestamp' }), {}, 'kind'],
  ['of another database', marker(csn('120000'), { server: { id: 'other', name: 'other' } }), {}, 'another database'],
  ['without a position', marker('nonsense'), {}, 'change sequence numbers'],
  ['without a time', marker(csn('120000'), { takenAt: '' }), {}, 'when it was taken'],
  ['ahead of the server', marker(csn('140000')), {}, 'no further than'],
  [
    'ahead of the server, of which the log knows nothing',
    marker(csn('140000')),
    { coverage: { kind: 'foreign', csn: csn('140000') } },
    'no further than',
  ],
  ['older than the log', marker(csn('120000')), { coverage: { kind: 'purged', from: csn('123000') } }, 'logpurge'],
  ['of another history', marker(csn('120000')), { coverage: { kind: 'foreign', csn: csn('120000') } }, 'earlier state'],
  ['from before another server took changes', marker(csn('120000')), { position: [csn('130000'), csn('110000', '001')] }, 'id 001'],
  ['of a server that is no longer known', marker(`${csn('110000', '001')} ${csn('120000')}`), {}, 'id 001'],
])('a marker %s is invalid, with the reason', async (_, since, state, words) => {
  expect(await judge(since, state)).toMatchObject({ valid: false, reason: expect.stringContaining(words) });
});

test('a marker ahead of contextCSN is valid where its own change is still there: contextCSN falls back in a crash', async () => {
  expect(await judge(marker(csn('140000')), { entry: true })).toEqual({ valid: true });
  expect(await judge(marker(csn('140000')), { coverage: { kind: 'covered' } })).toEqual({ valid: true });
});

test('a time is valid unless it lies in the future', async () => {
  const at = (position: string): Marker => marker(position, { kind: 'modifyTimestamp' });
  expect(await judge(at('2026-11-21T12:00:00.000Z'), {}, 'modifyTimestamp')).toEqual({ valid: true });
  expect(await judge(at('2026-11-24T12:00:00.000Z'), {}, 'modifyTimestamp')).toMatchObject({ valid: false });
  expect(await judge(at('yesterday'), {}, 'modifyTimestamp')).toMatchObject({ valid: false });
});

describe('a change number', () => {
  const recordId = '86c92d12-e61c11f1-bf1eef0e-33d2904f';
  const at = (position: string, more: Partial<Marker> = {}): Marker => marker(position, { kind: 'changeNumber', ...more });
  const judged = (since: Marker, numbers: readonly [number, number] | undefined, holds: boolean) =>
    judgeChangeNumber(since, server, {
      numbers: async () => (numbers === undefined ? undefined : { first: BigInt(numbers[0]), last: BigInt(numbers[1]) }),
      holdsChange: async () => holds,
    });

  test('is valid as long as the log holds its change', async () => {
    expect(await judged(at(`7 ${recordId}`), [7, 9], true)).toEqual({ valid: true });
  });

  test.each<[string, Marker, readonly [number, number] | undefined, string]>([
    ['of another kind', marker(`7 ${recordId}`), [1, 9], 'kind'],
    ['of another database', at(`7 ${recordId}`, { server: { id: 'other', name: 'other' } }), [1, 9], 'another database'],
    ['without the id of its record', at('7'), [1, 9], 'no change number'],
    ['without a log', at(`7 ${recordId}`), undefined, 'keeps no retro changelog'],
    ['ahead of the log', at(`7 ${recordId}`), [1, 6], 'no further than 6'],
    ['older than the log', at(`7 ${recordId}`), [8, 9], 'begins at 8'],
    ['that is another change now', at(`7 ${recordId}`), [1, 9], 'does not hold the change 7'],
  ])('%s is invalid, with the reason', async (_, since, numbers, words) => {
    expect(await judged(since, numbers, false)).toMatchObject({ valid: false, reason: expect.stringContaining(words) });
  });

  test('is read as it is written, whatever its size', () => {
    const position = { number: 2n ** 60n, recordId };
    expect(parseChangePosition(changePositionText(position))).toEqual(position);
    for (const text of ['', '7', `x ${recordId}`, `-1 ${recordId}`, `7 ${recordId} 8`]) expect(parseChangePosition(text)).toBeUndefined();
  });
});
