import type { ConformanceSource } from './source.ts';

/** Texts of many scripts and with every character that some syntax gives a meaning to. */
export const texts = [
  'plain',
  'Grüße, 你好',
  'Zoë O\'Hara "Z"',
  'a=b,c=d;e+f',
  'Ordner\\Pfad/Teil',
  '<b>&amp;</b>',
  '(*)|!{}[]',
  '%20#1$2',
  '😀 👩‍👩‍👧 ﷽',
  'Слава 李小龍 ไทย',
  'e\u0301 é',
  'שלום مرحبا',
] as const;

/** Creates objects `prefix 1` to `prefix N`, each with a text of its own, and returns their ids. */
export async function createMany(source: ConformanceSource, count: number, prefix = 'Object'): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let number = 1; number <= count; number += 1) {
    ids.push(await source.create({ name: `${prefix} ${number}`, text: `Text ${number}` }));
  }
  return ids;
}
