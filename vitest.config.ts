import { defineConfig } from 'vitest/config';

const needNoServer = ['test/unit/**/*.test.ts', 'test/replay/**/*.test.ts', 'test/protocol/**/*.test.ts'];

// One file at a time: the integration files share real servers, and the machine that runs the tests may have two cores.
// Two projects, so that a run of unit tests alone starts no server.
export default defineConfig({
  test: {
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 180_000,
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
