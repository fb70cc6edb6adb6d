import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { bundledThreads } from './test/support/bundled-threads.js';

const needNoServer = ['test/unit/**/*.test.ts', 'test/replay/**/*.test.ts', 'test/protocol/**/*.test.ts'];

/** Those that take minutes, the longest first. */
const LONG = [
  ...['chaos/chaos', 'chaos/fail-points', 'chaos/rules', 'chaos/lake'],
  ...['integration/resume', 'integration/snapshot-job', 'protocol/protocol', 'integration/snapshot-survives'],
  ...['integration/workflows-snapshot', 'integration/lake-columns', 'integration/objects-s3'],
  ...['contract/delta', 'contract/parquet', 'contract/databricks'],
  ...['integration/lake-end-to-end', 'integration/databricks-end-to-end'],
  ...['integration/copy-end-to-end', 'integration/command-end-to-end', 'integration/query-lists'],
];

/** The long ones begin first: at the end, one of them alone would leave the other places empty. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = LONG.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return found < 0 ? LONG.length : found;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

// Three files at a time, on two cores: most of a test's time is spent waiting. Each of the three has servers of its own (test/support/servers.ts), so that
// a file is alone with them; it is not alone on the machine. Two projects, so that a run of unit tests alone starts no server.
export default defineConfig({
  plugins: [bundledThreads()],
  test: {
    pool: 'forks',
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
    testTimeout: 300_000,
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
