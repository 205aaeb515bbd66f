import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nameIndex } from '../../../connectors/ldap/name-index.ts';

test('every DN has the id that was first given for it, as in a Map', () => {
  const part = fc.oneof(
    fc.constantFrom('ou=a', 'ou=b', 'dc=corp', 'cn=žofie', ''),
    fc.string({ maxLength: 12 }),
    fc.string({ minLength: 1_001, maxLength: 1_010 }),
  );
  const dn = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(','));
  fc.assert(
    fc.property(fc.array(fc.tuple(dn, fc.oneof(fc.uuid(), fc.string()))), fc.array(dn), (named, others) => {
      const [index, map] = [nameIndex(), new Map<string, string>()];
      for (const [name, id] of named) {
        index.add(name, id);
        if (!map.has(name)) map.set(name, id);
      }
      for (const name of [...map.keys(), ...others]) expect(index.get(name)).toBe(map.get(name));
    }),
  );
});

test('more names than the table and a piece begin with are found', () => {
  const index = nameIndex();
  const dn = (number: number) => `uid=user${number},ou=unit ${number % 7},dc=corp`;
  for (let number = 0; number < 30_000; number++) index.add(dn(number), `id-${number}`);
  for (let number = 0; number < 30_000; number++) if (index.get(dn(number)) !== `id-${number}`) expect.fail(`${dn(number)} was lost`);
  expect(index.get('uid=user1,ou=unit 2,dc=corp')).toBeUndefined();
  expect(index.get('uid=user1,ou=unit 9,dc=corp')).toBeUndefined();
});
