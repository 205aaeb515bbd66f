import { expect, test } from 'vitest';
import { listedNames } from '../../../connectors/ldap/listed-names.ts';
import { nameIndex } from '../../../connectors/ldap/name-index.ts';

const neverAsked = async () => expect.fail('the names were listed twice');

test('reads of one run that overlap list the names once', async () => {
  using one = listedNames('a run');
  using other = listedNames('a run');
  expect(other.isThere).toBe(false);
  const [found, same] = await Promise.all([one.get(async () => nameIndex()), other.get(neverAsked)]);
  expect(same).toBe(found);
  expect(other.isThere).toBe(true);
});

test('a listing is kept while a read uses it and no longer', async () => {
  const later = (() => {
    using first = listedNames('a run');
    const second = listedNames('a run');
    void first.get(async () => nameIndex());
    return second;
  })();
  expect(later.isThere).toBe(true);
  later[Symbol.dispose]();
  using next = listedNames('a run');
  expect(next.isThere).toBe(false);
});

test('reads of other positions, and those of no position, have listings of their own', async () => {
  using one = listedNames('a run');
  using other = listedNames('another run');
  using alone = listedNames(undefined);
  using lonely = listedNames(undefined);
  await one.get(async () => nameIndex());
  await alone.get(async () => nameIndex());
  expect([other.isThere, lonely.isThere]).toEqual([false, false]);
});

test('who waits for a listing that fails makes its own', async () => {
  using one = listedNames('a run');
  using other = listedNames('a run');
  const own = nameIndex();
  const failing = one.get(async () => Promise.reject(new Error('connection lost')));
  const waiting = other.get(async () => own);
  await expect(failing).rejects.toThrow('connection lost');
  expect(await waiting).toBe(own);
});
