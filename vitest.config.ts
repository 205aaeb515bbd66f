import { defineConfig } from 'vitest/config';

const patient = {
  pool: 'forks' as const,
  testTimeout: 120_000,
  hookTimeout: 180_000,
  teardownTimeout: 60_000,
};

/** Tests with real servers wait much and share one machine: two files of them at a time, after the pure ones. */
export default defineConfig({
  test: {
    projects: [
      { test: { ...patient, name: 'unit', include: ['test/unit/**/*.test.ts', 'test/replay/**/*.test.ts'] } },
      {
        test: {
          ...patient,
          name: 'servers',
          include: ['test/{integration,conformance,chaos}/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
