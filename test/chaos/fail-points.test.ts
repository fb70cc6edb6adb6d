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
import type { Failures } from './failure-plan.js';

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
  readonly crashes: number;
  /** Before the first crash each loses its connection, at the same point. */
  readonly disconnect: boolean;
  /** Which of the ways to come to a point is taken, where there are several. */
  readonly way: number;
}

const ROUNDS: readonly Round[] = [
  { name: 'a crash', crashes: 1, disconnect: false, way: 0 },
  { name: 'a lost connection and two crashes', crashes: 2, disconnect: true, way: 1 },
];

/** Behind these the step is done for good: nobody comes to the same point of it again. The next failure is at whichever point comes next. */
const ONCE: readonly FailPoint[] = [
  'plan: after COMMIT',
  'copy: after COMMIT',
  'publish: after COMMIT',
  'discard: after COMMIT',
];

function failuresAt(point: FailPoint, first: boolean, { disconnect }: Round): Failures {
  if (first && !disconnect) return { stop: point };
  const stop = ONCE.includes(point) ? 'any' : point;
  return first ? { disconnect: point, stop } : { stop };
}

/** `copy: before lock` is `copy_before_lock` where a name is wanted. */
const nameOf = (point: FailPoint) => point.replaceAll(/\W+/g, '_').toLowerCase();
const stepOf = (point: FailPoint) => point.split(':')[0]!;

const OF_JOBS = ['open', 'close', 'discard', 'forget', 'start over'];
const READERS = 'publish: in wait for readers' satisfies FailPoint;
const ofJobs = FAIL_POINTS.filter((point) => OF_JOBS.includes(stepOf(point)));
const ofTables = FAIL_POINTS.filter((point) => !OF_JOBS.includes(stepOf(point)) && point !== READERS);

function copied(point: FailPoint, index: number, way: number): Copied & { point: FailPoint } {
  const checksum = stepOf(point) === 'verify' || point === 'copy: after digest';
  const rows = point === 'copy: after first rows' ? 50 * ROWS : ROWS;
  return { point, table: `s.${nameOf(point)}`, mode: modeFor(point, index, way), checksum, rows };
}

/** What is appended is not built. What is visible at once is neither built nor compared, and its publishing has fewer steps. */
function modeFor(point: FailPoint, index: number, way: number): Mode {
  if (stepOf(point) === 'build') return 'replace';
  const modes: Mode[] = stepOf(point) === 'copy' ? ['append', 'partition'] : ['append', 'replace'];
  return modes[(index + way) % 2]!;
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
const REACHED_WITHIN = 200_000;

test.each(ROUNDS)(
  'at every point: $name',
  async (round) => {
    const servers = { source, destination, temporal };
    const ledgers = ['warehouse', ...ofJobs.map(nameOf)];
    const T0 = Date.now();
    const lap = (what: string) => process.stderr.write(`LAP ${round.way} ${what} ${Date.now() - T0}\n`);
    const stage = await Stage.make(`points_${round.way}`, servers, { ledgers, apart: APART });
    onTestFinished(() => stage.stop(), 60_000);
    const cases = casesOf(stage, round.way);
    const points = cases.flatMap((each) => Object.entries(each.points));
    expect(new Set(points.map(([, point]) => point)), 'a case for every point').toEqual(new Set(FAIL_POINTS));

    for (let crash = 1; crash <= round.crashes; crash++) {
      const failures = points.map(([id, point]) => [id, failuresAt(point, crash === 1, round)] as const);
      const worker = await stage.startWorker(Object.fromEntries(failures));
      const started = crash === 1 ? cases.map((each) => each.start()) : [];
      await Promise.all([worker.crashed(REACHED_WITHIN), ...started]);
    }
    lap('crashed');
    await stage.startWorker();
    await Promise.all(cases.map((each) => each.finish()));
    lap('finished');
    await stage.stopWorkers();
    await expectNothingLeft(stage);
    for (const [, point] of points) report.set(point, [...(report.get(point) ?? []), `${round.name}: recovered`]);
  },
  600_000,
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
