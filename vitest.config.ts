import { defineConfig } from 'vitest/config';

const needNoServer = ['test/unit/**/*.test.ts', 'test/replay/**/*.test.ts', 'test/protocol/**/*.test.ts'];

// Two files at a time: most of a test's time is spent waiting. Each of the two has servers of its own (test/support/servers.ts), so that
// a file is alone with them; it is not alone on the machine. Two projects, so that a run of unit tests alone starts no server.
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 360_000,
    projects: [
      { extends: true, test: { name: 'unit', include: needNoServer } },
      {
        extends: true,
        test: {
          name: 'servers',
          include: ['test/**/*.test.ts'],
          exclude: needNoServer,
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
    ],
  },
});
