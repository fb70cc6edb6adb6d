import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { StoreLocation } from '../../src/connectors/objects/open.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import type { FailPoint } from '../../src/core/fail-points.js';
import type { JobReport } from '../../workflows/messages.js';
import { LakeStage, ROWS } from '../support/lake-stage.js';
import { deltaFiles, readLakeTable } from '../support/lake-tables.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { askPython, DELTA_RS, pythonWith } from '../support/python.js';
import { S3_START_TIMEOUT, startS3, type S3Server } from '../support/s3.js';
import { storeAt } from '../support/store.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';

/**
 * Faults of jobs that go to a lake, on real worker processes and a real S3 server: deaths at every step between file, receipt and
 * publish; zombies that finish after others have published; several writers at the same table.
 */

let source: TestPostgres;
let temporal: TestTemporal;
let s3: S3Server;

beforeAll(async () => {
  [source, temporal, s3] = await Promise.all([startTestPostgres('source'), startTestTemporal(), startS3()]);
}, S3_START_TIMEOUT);

afterAll(async () => {
  await Promise.all([source.stop(), temporal.stop(), s3.stop()]);
});

type Kind = 'delta' | 'parquet';

interface Place {
  readonly connection: string;
  readonly type: Kind;
  readonly location: StoreLocation;
}

async function places(): Promise<Place[]> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-lake-faults-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const local = (name: string) => ({ kind: 'local' as const, path: join(folder, name) });
  return [
    { connection: 'folder', type: 'delta', location: local('delta') },
    { connection: 'bucket', type: 'delta', location: s3.location() },
    { connection: 'files', type: 'parquet', location: local('parquet') },
  ];
}

/** All that a job meets whose rows go to a lake, in the order in which it comes to them. */
const POINTS = [
  'prepare: before lock',
  'plan: before page',
  'plan: before COMMIT',
  'plan: after COMMIT',
  'copy: before lock',
  'copy: after sessions',
  'copy: before first row',
  'copy: after counts',
  'copy: before COMMIT',
  'copy: after COMMIT',
  'copy: before answer',
  'publish: before fence',
  'publish: after fence COMMIT',
  'publish: before COMMIT',
  'publish: after swap',
  'publish: after COMMIT',
  'publish: before answer',
] as const satisfies readonly FailPoint[];

function storeOf({ location }: Place): OpenStore {
  return storeAt(location);
}

/** Ids of the table's rows, in order. */
async function ids(store: OpenStore, type: Kind, to: string): Promise<number[]> {
  const rows = await readLakeTable(store, type, to);
  return (rows ?? []).map(({ id }) => Number(id)).sort((a, b) => a - b);
}

const ALL = Array.from({ length: ROWS }, (_, index) => index + 1);

test('a death at every step loses nothing, doubles nothing, and leaves nothing once it is cleaned', async () => {
  const all = await places();
  const stage = await LakeStage.make(temporal, await source.createDatabase('lake_points'), all);
  onTestFinished(() => stage.stop(), 60_000);
  const tables = POINTS.map((_, index) => `s.t${index + 1}`);
  await stage.createTables(tables);
  const jobs = new Map<Place, WorkflowHandle>();
  const idOf = (place: Place) => `points-${place.connection}-${stage.taskQueue}`;
  for (let round = 0; round < 2; round++) {
    const failures = Object.fromEntries(
      all.flatMap((place) => tables.map((table, n) => [`${idOf(place)}/${table}`, { stop: POINTS[n]! }] as const)),
    );
    // What is done for good is not come to again.
    const second = Object.fromEntries(Object.entries(failures).map(([id]) => [id, { stop: 'any' as const }]));
    const worker = await stage.startWorker(round === 0 ? failures : second);
    for (const place of round === 0 ? all : [])
      jobs.set(place, await stage.start(idOf(place), place.connection, tables));
    await worker.crashed(400_000);
  }
  await stage.startWorker();
  for (const [place, handle] of jobs) {
    expect((await handle.result()) as JobReport).toMatchObject({ phase: 'complete', rows: ROWS * tables.length });
    await using store = storeOf(place);
    for (const to of tables) expect(await ids(store, place.type, to), `${place.connection} ${to}`).toEqual(ALL);
    const run = (handle as WorkflowHandle & { firstExecutionRunId: string }).firstExecutionRunId;
    await stage.clean(place.connection, run);
    for (const to of tables) {
      expect(await ids(store, place.type, to)).toEqual(ALL);
      if (place.type === 'delta')
        expect((await stage.dataFiles(store, to)).sort()).toEqual((await deltaFiles(store, to))!.sort());
    }
  }
}, 1_500_000);

test('a zombie that finishes its upload when others have published adds nothing', async () => {
  const all = await places();
  const stage = await LakeStage.make(temporal, await source.createDatabase('lake_zombies'), all);
  onTestFinished(() => stage.stop(), 60_000);
  const tables = ['s.t1', 's.t2'];
  await stage.createTables(tables);
  for (const place of all) {
    // It stands with its files written and no receipt, or about to publish; and is frozen there.
    const id = `zombie-${place.connection}-${stage.taskQueue}`;
    const zombie = await stage.startFrozen({
      [`${id}/s.t1`]: 'copy: before COMMIT',
      [`${id}/s.t2`]: 'publish: before COMMIT',
    });
    const handle = await stage.start(id, place.connection, tables);
    await zombie.frozen(200_000);
    const other = await stage.startWorker();
    expect((await handle.result()) as JobReport).toMatchObject({ phase: 'complete', rows: ROWS * tables.length });
    zombie.thaw();
    await sleep(3_000);
    await using store = storeOf(place);
    for (const to of tables) expect(await ids(store, place.type, to), `${place.connection} ${to}`).toEqual(ALL);
    await Promise.all([zombie.stop(), other.stop()]);
  }
}, 900_000);

test('two jobs and a foreign writer append to one table at the same time, and each of their rows is there once', async () => {
  const [place] = await places();
  const python = await pythonWith(DELTA_RS);
  const url = await source.createDatabase('lake_writers');
  const stage = await LakeStage.make(temporal, url, [place!]);
  onTestFinished(() => stage.stop(), 60_000);
  await stage.createTables(['s.t1']);
  await stage.startWorker();
  const append = { mode: 'append' };
  await (await stage.start(`first-${stage.taskQueue}`, 'folder', ['s.t1'], append)).result();
  const table = join((place!.location as { path: string }).path, 's', 't1');
  const foreign = askPython(python, FOREIGN, { table, from: 1_000_000, times: 40 });
  const jobs = await Promise.all(
    [1, 2, 3].map((n) => stage.start(`writer-${n}-${stage.taskQueue}`, 'folder', ['s.t1'], append)),
  );
  await Promise.all(jobs.map((job) => job.result()));
  const added = (await foreign) as number;
  await using store = storeOf(place!);
  const found = await ids(store, 'delta', 's.t1');
  const own = ALL.flatMap((id) => [id, id, id, id]);
  const others = Array.from({ length: added }, (_, index) => 1_000_000 + index);
  expect(found).toEqual([...own, ...others]);
  expect(await runSql(url, 'SELECT count(*)::int AS n FROM s.t1')).toEqual([{ n: ROWS }]);
}, 600_000);

/** Appends a row at a time by delta-rs; a conflict is its own to retry. */
const FOREIGN = `
import sys, json, time, pyarrow as pa
from deltalake import write_deltalake, DeltaTable
given = json.loads(sys.argv[1])
added = 0
for n in range(given['times']):
  row = pa.table({'id': pa.array([given['from'] + added], pa.int32()), 'gen': pa.array([2], pa.int32()), 'note': pa.array(['foreign'])},
    schema=pa.schema([pa.field('id', pa.int32(), False), pa.field('gen', pa.int32(), False), pa.field('note', pa.string())]))
  try:
    write_deltalake(given['table'], row, mode='append')
    added += 1
  except Exception as error:
    if 'conflict' not in str(error).lower() and 'version' not in str(error).lower(): raise
  time.sleep(0.2)
print(json.dumps(added))`;
