import { expect, test } from 'vitest';
import { createSeenKeys } from '../../../connectors/flat-file/seen-keys.ts';

test('a hundred thousand keys that look alike are told apart, and each is known when it comes again', () => {
  const seen = createSeenKeys();
  const keys = Array.from({ length: 50_000 }, (_, index) => [`user${index}`, `${index}@corp.example`]).flat();
  expect(keys.filter((key, index) => seen.add(key, index) !== undefined)).toEqual([]);
  expect(keys.filter((key, index) => seen.add(key, 0) !== index)).toEqual([]);
});
