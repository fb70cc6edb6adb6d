import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { S3_START_TIMEOUT } from '../support/s3.js';
import { isClean } from './check.js';
import { eachOnce } from './each-once.js';
import { dieAt, TABLE_POINTS } from './kinds/lake-steps.js';
import { LAKE_KINDS } from './kinds/lakes.js';
import { Random } from './random.js';
import { complaint } from './report.js';
import { randomShape, Scene } from './scene.js';
import { Stack } from './stack.js';

/** Faults of jobs that go to lakes, on real processes and a real S3 server; `npm run chaos` goes on from there. dist/ has to be built. */

const SEED = 5;
const LANES = 2;
const FAULTS = 20;

test(
  'whatever goes wrong, every row is in the lake exactly once, and no file is left that no version names',
  { timeout: S3_START_TIMEOUT + 900_000 },
  async () => {
    for (const kind of LAKE_KINDS) expect(await kind.unavailable?.()).toBeUndefined();
    expect(await eachOnce(LAKE_KINDS, SEED, LANES)).toBeGreaterThanOrEqual(FAULTS);
  },
);

/** Both formats and both stores, each once. */
test.for(['delta-s3', 'parquet'] as const)(
  'a death at every step, and then at whatever comes next, does no harm to %s',
  { timeout: S3_START_TIMEOUT + 600_000 },
  async (destination) => {
    const stack = await Stack.start({ dir: join(tmpdir(), `longhaul-steps-${process.pid}`), lakes: true, workers: 1 });
    const settings = { tables: TABLE_POINTS.length, rows: 500, partitions: 2, parallelism: 40, seconds: 1 };
    const shape = randomShape(new Random(SEED), { destination, filled: false, writes: false, ...settings });
    try {
      await using scene = await Scene.begin(stack, new Random(SEED), { ...shape, consistency: 'per-partition' });
      const points = TABLE_POINTS.map((point, index) => [`${scene.name}/${scene.tables[index]}`, point] as const);
      await dieAt(scene, Object.fromEntries(points), 1);
      expect(scene.faults).toBe(2 * TABLE_POINTS.length);
      const verdict = await scene.finish();
      const outcome = { kind: destination, number: 0, faults: scene.faults, verdict, seconds: 0, recoveries: [] };
      expect(isClean(verdict), complaint(SEED, outcome)).toBe(true);
    } finally {
      await stack.stop();
    }
  },
);
