import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { FAIL_POINTS, type FailPoint } from '../../src/core/fail-points.js';
import {
  CleanCase,
  DiscardCase,
  OpenCase,
  ReaderCase,
  SnapshotCase,
  StartOverCase,
  SuspendCase,
  TablesCase,
  type Case,
  type Copied,
} from '../support/fail-point-cases.js';
import type { FailingWorker } from '../support/failing-workers.js';
import { ROWS, Stage } from '../support/fail-point-stage.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import type { Failures } from './failure-plan.js';

/**
 * Every fail point, on real worker processes (dist/test/chaos/worker.js). A process goes on until each of its workflows stands at the point that
 * is its own; then it kills itself, and the next one meets what was left at all these points at once. `once` crash there a single time; `twice`
 * lose their connection there, and then crash two times in a row.
 */

let source: TestPostgres;
let destination: TestPostgres;
let temporal: TestTemporal;

beforeAll(async () => {
  [source, destination, temporal] = await Promise.all([
    startTestPostgres('source'),
    startTestPostgres('destination'),
    startTestTemporal(),
  ]);
});

afterAll(async () => {
  console.log(report.join('\n'));
  await Promise.all([source.stop(), destination.stop(), temporal.stop()]);
});

type Times = 'once' | 'twice';

/**
 * Behind these the step is done for good, or done with its worker's death, as a snapshot is that the ledger knows and no sleep keeps: nobody comes
 * to the same point of it again. The next failure is at whichever point comes next.
 */
const ONCE: readonly FailPoint[] = [
  'plan: after COMMIT',
  'copy: after COMMIT',
  'publish: after COMMIT',
  'discard: after COMMIT',
  'snapshot: after ledger',
  'snapshot: before sleep',
];

/** What a workflow meets in the worker process of this number, from 0 on; undefined: it is past its points. */
function failuresIn(process: number, points: readonly FailPoint[], times: Times): Failures | undefined {
  if (times === 'once') return points[process] && { stop: points[process] };
  const point = points[Math.floor(process / 2)];
  if (point === undefined) return undefined;
  const stop = ONCE.includes(point) ? 'any' : point;
  return process % 2 === 0 ? { disconnect: point, stop } : { stop };
}

/** `copy: before lock` is `copy_before_lock` where a name is wanted. */
const nameOf = (point: FailPoint) => point.replaceAll(/\W+/g, '_').toLowerCase();
const stepOf = (point: FailPoint) => point.split(':')[0]!;

const OF_JOBS = ['open', 'close', 'discard', 'forget', 'start over'];
const READERS = 'publish: in wait for readers' satisfies FailPoint;
const ofJobs = FAIL_POINTS.filter((point) => OF_JOBS.includes(stepOf(point)));

/** What a table comes to, one after the other. All tables of a database fail in the same phase: to one that publishes, others may look like old readers. */
const PHASES = [['prepare', 'plan'], ['copy'], ['verify', 'build'], ['publish']].map((steps) =>
  FAIL_POINTS.filter((point) => steps.includes(stepOf(point)) && point !== READERS),
);

/** As many as the longest phase has points; the points of the others come more than once. What is appended is not built. */
function tablesOf(times: Times): (Copied & { points: FailPoint[] })[] {
  const most = Math.max(...PHASES.map(({ length }) => length));
  return Array.from({ length: most }, (_, index) => {
    const points = PHASES.map((phase) => phase[index % phase.length]!);
    const replaces = points.some((point) => stepOf(point) === 'build') || index % 2 === (times === 'once' ? 0 : 1);
    const checksum = points.some((point) => stepOf(point) === 'verify' || point === 'copy: after digest');
    const rows = points.includes('copy: after first rows') ? 50 * ROWS : ROWS;
    return { table: `s.${times}_${index + 1}`, points, mode: replaces ? 'replace' : 'append', checksum, rows };
  });
}

/** What is visible as soon as it is committed is neither built nor swapped. */
function visibleTables(times: Times): (Copied & { points: FailPoint[] })[] {
  const copying: FailPoint[] = ['copy: before tag', 'copy: before COMMIT', 'copy: after COMMIT'];
  return copying.map((point, index) => ({
    table: `s.${times}_visible_${index + 1}`,
    points: ['prepare: before COMMIT', point, 'publish: before fence', 'publish: before COMMIT'],
    mode: 'partition',
  }));
}

function caseOf(stage: Stage, point: FailPoint, times: Times): Case {
  const to = `${times}_${nameOf(point)}`;
  const [first, second = first] = {
    open: [OpenCase],
    close: [SuspendCase, DiscardCase],
    discard: [DiscardCase, CleanCase],
    forget: [CleanCase],
    'start over': [StartOverCase],
  }[stepOf(point)]!;
  return new (times === 'once' ? first! : second!)(stage, point, to);
}

/** Of each job, one after the other. */
const SNAPSHOT_POINTS: readonly (readonly FailPoint[])[] = [
  ['snapshot: before election', 'snapshot: in election', 'snapshot: before name', 'snapshot: after name'],
  ['snapshot: before ledger'],
  ['snapshot: after ledger'],
  ['snapshot: before sleep'],
  ['snapshot: before answer'],
];
const snapshotJob = (times: Times, index: number) => `${times}_snapshot_${index + 1}`;

/** At those of a step that is done, the copying has begun; but of two failures the first is long before the table is. */
function snapshotCase(stage: Stage, points: readonly FailPoint[], to: string): SnapshotCase {
  const stopsTable = to.startsWith('once') && points.some((point) => ONCE.includes(point));
  return new SnapshotCase(stage, points, to, stopsTable);
}

function casesOf(stage: Stage, times: Times): Case[] {
  return [
    new TablesCase(stage, times, [...tablesOf(times), ...visibleTables(times)]),
    new ReaderCase(stage, `${times}_reader`, [{ points: [READERS], table: `s.${times}_read`, mode: 'replace' }]),
    ...SNAPSHOT_POINTS.map((points, index) => snapshotCase(stage, points, snapshotJob(times, index))),
    ...ofJobs.map((point) => caseOf(stage, point, times)),
  ];
}

function connections(): string[][] {
  const jobs = ofJobs.flatMap((point) => [`once_${nameOf(point)}`, `twice_${nameOf(point)}`]);
  const snapshots = SNAPSHOT_POINTS.flatMap((_, index) => [snapshotJob('once', index), snapshotJob('twice', index)]);
  return [['once'], ['twice'], ['once_reader', 'twice_reader'], jobs, snapshots];
}

/** Longest time until a process has crashed, in milliseconds: most of it is waiting for the heartbeats of the one before. */
const CRASHES_WITHIN = 400_000;

test('a crash at every point, and two in a row, lose nothing, double nothing and leave nothing behind', async () => {
  const stage = await Stage.make('points', { source, destination, temporal }, connections());
  onTestFinished(() => stage.stop(), 60_000);
  const all = { once: casesOf(stage, 'once'), twice: casesOf(stage, 'twice') };
  const cases = [...all.once, ...all.twice];
  for (const [times, own] of Object.entries(all)) {
    const points = own.flatMap((each) => Object.values(each.points).flat());
    expect(new Set(points), `${times}: a case for every point`).toEqual(new Set(FAIL_POINTS));
  }
  const failing = (process: number) =>
    (['once', 'twice'] as const).flatMap((times) =>
      all[times].flatMap((each) =>
        Object.entries(each.points).flatMap(([id, points]) => {
          const failures = failuresIn(process, points, times);
          return failures === undefined ? [] : [[id, failures] as const];
        }),
      ),
    );
  const met: Awaited<ReturnType<FailingWorker['met']>> = [];
  let starting: Promise<void>[] | undefined;
  for (let process = 0, failures = failing(0); failures.length > 0; failures = failing(++process)) {
    const worker = await stage.startWorker(Object.fromEntries(failures));
    starting ??= cases.map((each) => each.start());
    await Promise.all([worker.crashed(CRASHES_WITHIN), ...starting]);
    lap(`crash ${process + 1}, at ${failures.length} places`);
    met.push(...worker.met());
  }
  await stage.startWorker();
  await Promise.all(cases.map((each) => each.finish()));
  await stage.stopWorkers();
  await expectNothingLeft(stage);
  lap('recovered');
  for (const point of FAIL_POINTS) report.push(lineOf(point, met));
}, 1_500_000);

function lineOf(point: FailPoint, met: Awaited<ReturnType<FailingWorker['met']>>): string {
  const here = met.filter((each) => each.point === point);
  const crashed = here.filter(({ how }) => how === 'crashed').length;
  return `${point.padEnd(32)} reached ${here.length}, crashed ${crashed}, recovered`;
}

const began = Date.now();
const report: string[] = [];
function lap(what: string): void {
  report.push(`${String(Math.round((Date.now() - began) / 1000)).padStart(4)} s  ${what}`);
}

/** No session of anybody's, holders of snapshots among them: their jobs have ended, and with them what they were for. */
async function expectNothingLeft(stage: Stage): Promise<void> {
  const sessions = `SELECT application_name AS name FROM pg_stat_activity WHERE datname = current_database()
    AND starts_with(application_name, 'longhaul')`;
  const staging = `SELECT relname AS name FROM pg_class WHERE starts_with(relname, '_longhaul_')`;
  for (const url of new Set([stage.sourceUrl, ...stage.destinationUrls.values()])) {
    await expect.poll(() => runSql(url, sessions), { timeout: 15_000 }).toEqual([]);
    expect(await runSql(url, staging)).toEqual([]);
  }
}
