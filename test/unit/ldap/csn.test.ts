import { expect, test } from 'vitest';
import { csnSet, csnSetText, floorOf, parseCsnSet, placeOf, serverIdOf } from '../../../connectors/ldap/csn.ts';

const csn = (time: string, server = '000', count = '000000'): string => `20261121${time}.000000Z#${count}#${server}#000000`;
const set = (...csns: readonly string[]) => {
  const made = csnSet(csns);
  if (made === undefined) throw new Error('not a set');
  return made;
};

test('a change sequence number names its server, anything else does not', () => {
  expect(serverIdOf(csn('120000', '0aF'))).toBe('0af');
  for (const text of ['', '20261121120000Z', csn('120000').slice(1), `${csn('120000')} `]) expect(serverIdOf(text)).toBeUndefined();
});

test('a set keeps one number of each server, the last or the first', () => {
  const csns = [csn('120000', '001'), csn('110000', '002'), csn('120001', '001')];
  expect(csnSetText(set(...csns))).toBe(`${csn('110000', '002')} ${csn('120001', '001')}`);
  expect(csnSet(csns, 'first')?.get('001')).toBe(csn('120000', '001'));
  expect(csnSet([...csns, 'nonsense'])).toBeUndefined();
});

test('the text of a set is read back; what is none is refused', () => {
  const text = csnSetText(set(csn('120000', '001'), csn('110000', '002')));
  expect(csnSetText(parseCsnSet(text) ?? new Map())).toBe(text);
  for (const wrong of ['', 'no position at all', `${text} x`]) expect(parseCsnSet(wrong)).toBeUndefined();
});

test('a delta begins at the least position among the servers that have gone on', () => {
  const since = set(csn('100000', '001'), csn('110000', '002'), csn('120000', '003'));
  const now = set(csn('100000', '001'), csn('115000', '002'), csn('125000', '003'));
  expect(floorOf(since, now)).toBe(csn('110000', '002'));
  expect(floorOf(since, since)).toBe(csn('120000', '003'));
});

test('changes are compared with the position of their own server', () => {
  const since = set(csn('100000', '001'), csn('110000', '002'));
  expect(placeOf(csn('100001', '001'), since)).toBe('after');
  expect(placeOf(csn('105959', '002'), since)).toBe('before');
  expect(placeOf(csn('110000', '002'), since)).toBe('at');
  expect(placeOf(csn('090000', '003'), since)).toBe('after');
  expect(placeOf(csn('100000', '001', '000001'), since)).toBe('after');
});
