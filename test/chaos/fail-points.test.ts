import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { FAIL_POINTS, type FailPoint } from '../../src/core/fail-points.js';
import {
  CleanCase,
  DiscardCase,
  OpenCase,
  ReaderCase,
  StartOverCase,
  SuspendCase,
  TablesCase,
  type Case,
  type Copied,
  type Mode,
} from '../support/fail-point-cases.js';
import { ROWS, Stage } from '../support/fail-point-stage.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import type { FailurePlan } from './failure-plan.js';

/**
 * Every fail point, on real worker processes (dist/test/chaos/worker.js). Each point has a table, or a job, of its own. All of them come to their
 * points and stop there; then the process kills itself, and the next one meets what it left at all points at once.
 */

let source: TestPostgres;
let destination: TestPostgres;
let temporal: TestTemporal;
const report = new Map<FailPoint, string[]>();

beforeAll(async () => {
  [source, destination, temporal] = await Promise.all([
    startTestPostgres('source'),
    startTestPostgres('destination'),
    startTestTemporal(),
  ]);
});

afterAll(async () => {
  console.log([...report].map(([point, met]) => `${point.padEnd(32)} ${met.join(', ')}`).join('\n'));
  await Promise.all([source.stop(), destination.stop(), temporal.stop()]);
});

interface Round {
  readonly name: string;
  readonly how: FailurePlan['how'];
  readonly times: number;
  /** Which of the ways to come to a point is taken, where there are several. */
  readonly way: number;
}

const ROUNDS: readonly Round[] = [
  { name: 'once', how: 'crash', times: 1, way: 0 },
  { name: 'twice', how: 'crash', times: 2, way: 1 },
  { name: 'disconnected', how: 'disconnect', times: 1, way: 2 },
];

/** `copy: before lock` is `copy_before_lock` where a name is wanted. */
const nameOf = (point: FailPoint) => point.replaceAll(/\W+/g, '_').toLowerCase();
const stepOf = (point: FailPoint) => point.split(':')[0]!;

const OF_JOBS = ['open', 'close', 'discard', 'forget', 'start over'];
const READERS = 'publish: in wait for readers' satisfies FailPoint;
const ofJobs = FAIL_POINTS.filter((point) => OF_JOBS.includes(stepOf(point)));
const ofTables = FAIL_POINTS.filter((point) => !OF_JOBS.includes(stepOf(point)) && point !== READERS);

function copied(point: FailPoint, index: number, way: number): Copied & { point: FailPoint } {
  const checksum = stepOf(point) === 'verify' || point === 'copy: after digest';
  const rows = point === 'copy: after first rows' ? 20 * ROWS : ROWS;
  return { point, table: `s.${nameOf(point)}`, mode: modeFor(point, index, way), checksum, rows };
}

/** What is appended is not built. What is visible at once is neither built nor compared, and its publishing has fewer steps. */
function modeFor(point: FailPoint, index: number, way: number): Mode {
  if (stepOf(point) === 'build') return 'replace';
  const modes: Mode[] = stepOf(point) === 'copy' ? ['replace', 'append', 'partition'] : ['replace', 'append'];
  return modes[(index + way) % modes.length]!;
}

function caseOf(stage: Stage, point: FailPoint, way: number): Case {
  const to = nameOf(point);
  const ways = {
    open: [OpenCase],
    close: [SuspendCase, DiscardCase, CleanCase],
    discard: [DiscardCase, CleanCase],
    forget: [CleanCase],
    'start over': [StartOverCase],
  }[stepOf(point)]!;
  return new ways[way % ways.length]!(stage, point, to);
}

/** Attempts that stop elsewhere look to a publisher like readers with an older view. */
const APART = ['published', 'readers'];

function casesOf(stage: Stage, way: number): Case[] {
  const tables = ofTables.map((point, index) => copied(point, index, way));
  const published = tables.filter(({ point }) => stepOf(point) === 'publish');
  const others = tables.filter((each) => !published.includes(each));
  return [
    new TablesCase(stage, 'warehouse', others),
    new TablesCase(stage, 'published', published),
    new ReaderCase(stage, 'readers', [{ point: READERS, table: 's.readers', mode: 'replace' }]),
    ...ofJobs.map((point) => caseOf(stage, point, way)),
  ];
}

/** Longest time until all points of a process are reached, in milliseconds: most of it is waiting for the heartbeats of the one before. */
const REACHED_WITHIN = 100_000;

test.each(ROUNDS)(
  'at every point: $name',
  async ({ name, how, times, way }) => {
    const servers = { source, destination, temporal };
    const ledgers = ['warehouse', ...ofJobs.map(nameOf)];
    const stage = await Stage.make(`points_${name}`, servers, { ledgers, apart: APART });
    onTestFinished(() => stage.stop(), 60_000);
    const cases = casesOf(stage, way);
    const points = Object.assign({}, ...cases.map((each) => each.points)) as Record<string, FailPoint>;
    expect(new Set(Object.values(points)), 'a case for every point').toEqual(new Set(FAIL_POINTS));

    let worker = await stage.startWorker({ how, points });
    const started = Promise.all(cases.map((each) => each.start()));
    for (let time = 1; time <= times; time++) {
      if (time > 1) worker = await stage.startWorker({ how, points });
      const limit = how === 'crash' ? worker.crashed(REACHED_WITHIN) : worker.allReached(REACHED_WITHIN);
      await (time === 1 ? Promise.all([started, limit]) : limit);
    }
    if (how === 'crash') await stage.startWorker();
    await Promise.all(cases.map((each) => each.finish()));
    await stage.stopWorkers();
    await expectNothingLeft(stage);
    for (const point of FAIL_POINTS) report.set(point, [...(report.get(point) ?? []), `${name}: recovered`]);
  },
  240_000,
);

/** A snapshot's holder outlives its worker by a lease; everybody else is gone with it. */
async function expectNothingLeft(stage: Stage): Promise<void> {
  const sessions = `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database()
    AND starts_with(application_name, 'longhaul') AND NOT starts_with(application_name, 'longhaul snapshot')`;
  const staging = `SELECT relname AS name FROM pg_class WHERE starts_with(relname, '_longhaul_')`;
  for (const url of new Set([stage.sourceUrl, ...stage.destinationUrls.values()])) {
    await expect.poll(() => runSql(url, sessions), { timeout: 15_000 }).toEqual([]);
    expect(await runSql(url, staging)).toEqual([]);
  }
}
