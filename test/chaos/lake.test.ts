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
import { endJob } from './run.js';
import { randomShape, Scene } from './scene.js';
import { Stack } from './stack.js';

/** Faults of jobs that go to lakes, on real processes and a real S3 server; `npm run chaos` goes on from there. dist/ has to be built. */

const SEED = 5;
const LANES = 2;
const FAULTS = 14;

/** Are done here to jobs into Postgres only, in chaos.test.ts: what they add for lakes, those that are left have in them. */
const LEFT_OUT = ['worker-sigterm', 'worker-sigkill-besides', 'worker-zombie', 'zombie-after-publish'].concat([
  ...['zombie-after-clean', 'cancel-discard', 'terminate-resume', 'reset-table'],
]);

test(
  'whatever goes wrong, every row is in the lake exactly once, and no file is left that no version names',
  { timeout: S3_START_TIMEOUT + 1_500_000 },
  async () => {
    const kinds = LAKE_KINDS.filter(({ name }) => !LEFT_OUT.includes(name.slice('lake-'.length)));
    for (const kind of kinds) expect(await kind.unavailable?.()).toBeUndefined();
    expect(await eachOnce(kinds, SEED, LANES)).toBeGreaterThanOrEqual(FAULTS);
  },
);

/** Milliseconds for as many tables as there are steps. */
const ENDS_WITHIN = 500_000;

/** Both formats and both stores; what they have in common is walked once. */
test.for([
  { destination: 'delta-s3', points: TABLE_POINTS, again: 1 },
  { destination: 'parquet', points: TABLE_POINTS.filter((point) => point.startsWith('publish')), again: 0 },
] as const)(
  'deaths at $points.length steps, and at whatever comes next, do no harm to $destination',
  { timeout: S3_START_TIMEOUT + 1_500_000 },
  async ({ destination, points, again }) => {
    const stack = await Stack.start({ dir: join(tmpdir(), `longhaul-steps-${process.pid}`), lakes: true, workers: 1 });
    const settings = { tables: points.length, rows: 500, partitions: 2, parallelism: 40, seconds: 1, writes: false };
    const shape = randomShape(new Random(SEED), { destination, filled: false, ...settings });
    try {
      await using scene = await Scene.begin(stack, new Random(SEED), { ...shape, consistency: 'per-partition' });
      const stops = points.map((point, index) => [`${scene.name}/${scene.tables[index]}`, point] as const);
      await dieAt(scene, Object.fromEntries(stops), again);
      const verdict = await scene.finish(ENDS_WITHIN);
      if (!isClean(verdict)) await endJob(scene);
      const outcome = { kind: destination, number: 0, faults: scene.faults, verdict, seconds: 0, recoveries: [] };
      expect(complaint(SEED, outcome)).toBeUndefined();
      expect(scene.faults).toBe((1 + again) * points.length);
    } finally {
      await stack.stop();
    }
  },
);
