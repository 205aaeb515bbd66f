import { defineConfig } from 'vitest/config';

/** Records the histories anew, with real servers: `vitest run --config test/replay/record.config.ts`. No part of `npm test`. */
export default defineConfig({
  test: {
    name: 'record',
    include: ['test/replay/record.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
  },
});
