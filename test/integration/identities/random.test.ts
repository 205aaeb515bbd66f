import { it } from 'vitest';
import { compare, firstSeed } from './random.ts';
import { openTables } from './tables.ts';

const seeds = Number(process.env.TIDEMARK_SEEDS ?? 20);

it(`deltas come to what everything computed from scratch comes to: ${seeds} seeds from ${firstSeed}`, { timeout: 600_000 }, async () => {
  await using world = await openTables();
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) await compare(world, seed, 6);
});
