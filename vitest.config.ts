import { defineConfig } from 'vitest/config';

// One file at a time: the integration files each start real servers, and the machine that runs the tests may have two cores.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 180_000,
  },
});
