import { defineConfig } from 'vitest/config';

const patient = {
  pool: 'forks' as const,
  testTimeout: 120_000,
  hookTimeout: 180_000,
  teardownTimeout: 60_000,
};

/** Real servers share one machine: their tests run one file after another, the pure ones side by side. */
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
          fileParallelism: false,
        },
      },
    ],
  },
});
