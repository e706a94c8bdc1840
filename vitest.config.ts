import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      // Nothing in them is shared but modules: one process for many files is twice as fast.
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 20_000,
          isolate: false,
          // They hardly wait for anything, and vitest would leave one of two cores to itself.
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Each file boots its own PostgreSQL; two cores hold two of them well.
          maxWorkers: 2,
        },
      },
    ],
  },
});
