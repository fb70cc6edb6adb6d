import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3_START_TIMEOUT } from '../support/s3.js';
import { isClean } from './check.js';
import { dieAt, TABLE_POINTS } from './kinds/lake-steps.js';
import { LAKE_KINDS } from './kinds/lakes.js';
import { Random } from './random.js';
import { complaint } from './report.js';
import { endJob, runJob } from './run.js';
import { randomShape, Scene } from './scene.js';
import { Stack } from './stack.js';

/** Faults of jobs that go to lakes, on real processes and a real S3 server; `npm run chaos` goes on from there. dist/ has to be built. */

const SEED = 5;

/** Of what is a lake's own, what is not walked step by step below. What else may happen to a job, chaos.test.ts does to jobs into Postgres. */
const TRIED = [
  ...['lake-upload-after-publish', 'lake-upload-after-clean', 'delta-writers'],
  ...['s3-answer-lost', 's3-stalled', 's3-crash'],
];
const kinds = LAKE_KINDS.filter(({ name }) => TRIED.includes(name));

let stack: Stack;

beforeAll(async () => {
  for (const kind of kinds) expect(await kind.unavailable?.()).toBeUndefined();
  stack = await Stack.start({ dir: join(tmpdir(), `longhaul-lakes-${process.pid}`), lakes: true });
}, S3_START_TIMEOUT);

afterAll(async () => {
  expect(await stack.stop(), 'workers that did not end by themselves').toEqual([]);
});

test.for(kinds.map(({ name, about }, number) => ({ name, about, number })))(
  '$name does no harm: $about',
  { timeout: 600_000 },
  async ({ number }) => {
    const outcome = await runJob(stack, { kinds, seed: SEED, strikes: 1 }, number);
    expect(complaint(SEED, outcome)).toBeUndefined();
    expect(outcome.faults).toBeGreaterThan(0);
  },
);

/** Milliseconds for as many tables as there are steps, on a busy machine. */
const ENDS_WITHIN = 500_000;

/** Both formats and both stores; what they have in common is walked once. */
test.for([
  { destination: 'delta-s3', points: TABLE_POINTS, again: 1 },
  { destination: 'parquet', points: TABLE_POINTS.filter((point) => point.startsWith('publish')), again: 0 },
] as const)(
  'deaths at $points.length steps, and at whatever comes next, do no harm to $destination',
  { timeout: 1_200_000 },
  async ({ destination, points, again }) => {
    const settings = { tables: points.length, rows: 500, partitions: 2, parallelism: 40, seconds: 1, writes: false };
    const shape = randomShape(new Random(SEED), { destination, filled: false, ...settings });
    await using scene = await Scene.begin(stack, new Random(SEED), { ...shape, consistency: 'per-partition' });
    const stops = points.map((point, index) => [`${scene.name}/${scene.tables[index]}`, point] as const);
    await dieAt(scene, Object.fromEntries(stops), again);
    const verdict = await scene.finish(ENDS_WITHIN);
    if (!isClean(verdict)) await endJob(scene);
    const outcome = { kind: destination, number: 0, faults: scene.faults, verdict, seconds: 0, recoveries: [] };
    expect(complaint(SEED, outcome)).toBeUndefined();
    expect(scene.faults).toBe((1 + again) * points.length);
  },
);
