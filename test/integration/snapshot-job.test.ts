import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { holderPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import type { Supervised } from '../../src/devstack/supervised.js';
import type { JobProgress, JobReport } from '../../workflows/messages.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import { failureOfWorkflow, until } from '../support/workflows.js';
import { testWorkers, type TestWorkers } from '../support/worker.js';

/** Jobs with `consistency: snapshot`, on worker processes, from a source that is written to all the time. */

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
afterAll(() => Promise.all([source.stop(), destination.stop(), temporal.stop()]));

const TABLES = ['s.a', 's.b'];
const ROWS = 10_000;

interface Scene {
  readonly sourceUrl: string;
  readonly destinationUrl: string;
  readonly workers: TestWorkers;
}

let made = 0;
async function scene(): Promise<Scene> {
  const name = `snapshot_job_${++made}`;
  const sourceUrl = await source.createDatabase(`${name}_from`);
  const destinationUrl = await destination.createDatabase(`${name}_to`);
  await runSql(sourceUrl, 'CREATE SCHEMA s');
  await runSql(destinationUrl, 'CREATE SCHEMA s');
  for (const table of TABLES)
    await runSql(
      sourceUrl,
      `CREATE TABLE ${table} (id bigserial PRIMARY KEY, n int, note text);
       INSERT INTO ${table} (n, note) SELECT i, repeat('x', 100) FROM generate_series(1, ${ROWS}) i; ANALYZE ${table}`,
    );
  const taskQueue = temporal.unique('longhaul');
  const workers = await testWorkers({ temporal: temporal.address, taskQueue, sourceUrl, destinationUrl });
  onTestFinished(() => workers.stop(), 60_000);
  await writeAllTheTime(sourceUrl);
  return { sourceUrl, destinationUrl, workers };
}

/** Inserts, updates and deletes rows anywhere in the tables until the test ends. */
async function writeAllTheTime(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const writer = { on: true };
  const written = (async () => {
    for (let i = 1; writer.on; i = (i * 7919 + 13) % ROWS) {
      for (const table of TABLES)
        await client.query(
          `INSERT INTO ${table} (n, note) VALUES (-${i}, 'new'); UPDATE ${table} SET n = n + 1 WHERE id IN (${i}, ${i + 3}); DELETE FROM ${table} WHERE id = ${i + 5}`,
        );
      await sleep(5);
    }
  })();
  onTestFinished(async () => {
    writer.on = false;
    await written;
    await client.end();
  });
}

function start({ workers }: Scene, more: object = {}): Promise<WorkflowHandle> {
  const job = {
    ...{ name: 'snap', source: 'shop', destination: 'warehouse', parallelism: 2, consistency: 'snapshot' },
    retry: { heartbeatTimeout: '5s', initialInterval: '1s', maximumAttempts: 2 },
    ...{ tables: TABLES, defaults: { partition: { count: 20 } }, ...more },
  };
  return temporal.client.workflow.start('copyJob', {
    ...{ taskQueue: workers.taskQueue, workflowId: temporal.unique('job'), args: [job] },
  });
}

const runOf = async (handle: WorkflowHandle): Promise<string> => (await handle.describe()).runId;

const holders = ({ sourceUrl }: Scene, run: string, snapshot: number) =>
  runSql<{ pid: number; id: string }>(
    sourceUrl,
    `SELECT pid, substr(application_name, length($1::text) + 1) AS id FROM pg_stat_activity WHERE starts_with(application_name, $1)`,
    [holderPrefix({ run, snapshot })],
  );

/** Sees the source as a snapshot of the run has it, until the test ends. */
async function witness(scene: Scene, run: string, snapshot: number): Promise<() => Promise<string[]>> {
  await until(async () => (await holders(scene, run, snapshot)).length > 0);
  const [{ id } = { id: '' }] = await holders(scene, run, snapshot);
  const client = new Client({ connectionString: scene.sourceUrl });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '${id}'`);
  return () => Promise.all(TABLES.map(async (table) => digestOf((text) => client.query<Digest>(text), table)));
}

interface Digest {
  digest: string;
}

async function digestOf(query: (sql: string) => Promise<{ rows: Digest[] }>, table: string): Promise<string> {
  const { rows } = await query(
    `SELECT count(*) || ' ' || md5(string_agg(md5(t::text), '' ORDER BY id)) AS digest FROM ${table} t`,
  );
  return rows[0]!.digest;
}

const copied = ({ destinationUrl }: Scene) =>
  Promise.all(
    TABLES.map((table) => digestOf(async (text) => ({ rows: await runSql<Digest>(destinationUrl, text) }), table)),
  );

const progressOf = (handle: WorkflowHandle) => handle.query<JobProgress>('progress');

async function committed({ destinationUrl }: Scene): Promise<number> {
  const rows = await runSql(destinationUrl, 'SELECT FROM longhaul.receipts').catch(() => []);
  return rows.length;
}

const midCopy = (scene: Scene, least = 10) => until(async () => (await committed(scene)) >= least);

/** Sessions of the job that are left at the source; a left holder's lease may last two minutes. */
const sessionsLeft = ({ sourceUrl }: Scene) =>
  runSql(
    sourceUrl,
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'longhaul%'`,
  );

async function kill(worker: Supervised): Promise<void> {
  process.kill(worker.pid, 'SIGKILL');
  await worker.exited;
}

test('a copy of a source that changes equals its snapshot, and lets go of it', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await start(here);
  const seen = await witness(here, await runOf(handle), 1);
  await midCopy(here);
  await expect(runSql(here.sourceUrl, `SET lock_timeout TO '200ms'; TRUNCATE s.b`)).rejects.toThrow(/lock timeout/);
  expect((await progressOf(handle)).snapshot).toMatchObject({ number: 1, state: 'held', restarts: 0 });
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, state: 'released', restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
  expect(await sessionsLeft(here)).toHaveLength(0);
});

test('a snapshot outlives the SIGKILL and the SIGTERM of its worker: no table starts over', async () => {
  const here = await scene();
  const first = await here.workers.start();
  const handle = await start(here);
  const seen = await witness(here, await runOf(handle), 1);
  await midCopy(here);
  await kill(first);
  await sleep(1_000);
  const second = await here.workers.start();
  await midCopy(here, (await committed(here)) + 5);
  await second.stop('SIGTERM');
  await here.workers.start();
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
}, 120_000);

test('when its session is ended, all starts over under a new snapshot, once', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await start(here);
  const run = await runOf(handle);
  const first = await witness(here, run, 1);
  await midCopy(here);
  for (const { pid } of await holders(here, run, 1))
    await runSql(here.sourceUrl, 'SELECT pg_terminate_backend($1)', [pid]);
  const second = await witness(here, run, 2);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 1 });
  expect(report.snapshot!.note).toContain('no session holds snapshot 1');
  expect(await copied(here)).toEqual(await second());
  expect(await copied(here)).not.toEqual(await first());
  const staging = await runSql(here.destinationUrl, `SELECT FROM pg_class WHERE relname LIKE '\\_longhaul\\_%'`);
  expect(staging).toHaveLength(0);
});

test('with onSnapshotLost: fail the job ends, suspended; resumed, it starts over and says so', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await start(here, { onSnapshotLost: 'fail' });
  const run = await runOf(handle);
  await midCopy(here);
  for (const { pid } of await holders(here, run, 1))
    await runSql(here.sourceUrl, 'SELECT pg_terminate_backend($1)', [pid]);
  const failure = await failureOfWorkflow(handle);
  expect(failure.type).toBe('SnapshotLost');
  expect(failure.message).toContain('onSnapshotLost: fail');
  expect(failure.message).toContain(`"resume": "${run}"`);
  const states = await runSql<{ state: string }>(here.destinationUrl, 'SELECT DISTINCT state FROM longhaul.run_tables');
  expect(states).toEqual([{ state: 'suspended' }]);
  const again = await start(here, { onSnapshotLost: 'fail', resume: run });
  const seen = await witness(here, run, 2);
  const report = (await again.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 0 });
  expect(report.warnings.join()).toContain('2 unfinished tables of this run start over under snapshot 2');
  expect(await copied(here)).toEqual(await seen());
});

test('ranges of pages under a snapshot, with digests, while every row moves to other pages', async () => {
  const here = await scene();
  await here.workers.start();
  const defaults = { partition: { by: 'pages', count: 20 }, verify: 'checksum' };
  const handle = await start(here, { defaults });
  const seen = await witness(here, await runOf(handle), 1);
  await midCopy(here, 1);
  for (let moved = 0; moved < 3; moved++)
    for (const table of TABLES)
      for (const statement of [`UPDATE ${table} SET note = note || 'moved'`, `VACUUM ${table}`])
        await runSql(here.sourceUrl, statement);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 1, restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
  const receipts = await runSql<{ all: number; digested: number }>(
    here.destinationUrl,
    'SELECT count(*)::int AS all, count(digest)::int AS digested FROM longhaul.receipts',
  );
  expect(receipts).toEqual([{ all: 40, digested: 40 }]);
});

/** Keeps the snapshot alive as a holder does, but locks no table; it ends with the test. */
async function holdUnlocked({ sourceUrl }: Scene, run: string, id: string): Promise<void> {
  const client = new Client({ connectionString: sourceUrl });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '${id}'`);
  await client.query(`SELECT set_config('application_name', $1 || pg_export_snapshot(), false)`, [
    holderPrefix({ run, snapshot: 1 }),
  ]);
}

/** The statement waits for the holder's lock, and gets its own before the next holder does: the snapshot lives, without the table. */
async function rewriteUnder(scene: Scene, run: string, statement: string): Promise<void> {
  const held = await holders(scene, run, 1);
  await holdUnlocked(scene, run, held[0]!.id);
  const rewritten = runSql(scene.sourceUrl, statement);
  await until(async () => {
    const waiting = await runSql(
      scene.sourceUrl,
      `SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted`,
    );
    return waiting.length > 0;
  });
  for (const { pid } of held) await runSql(scene.sourceUrl, 'SELECT pg_terminate_backend($1)', [pid]);
  await rewritten;
}

test('a table that is rewritten while nobody locks it starts over under a new snapshot, with the others', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await start(here);
  const run = await runOf(handle);
  await midCopy(here);
  await rewriteUnder(here, run, 'VACUUM FULL s.b');
  const seen = await witness(here, run, 2);
  const report = (await handle.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 1 });
  expect(report.snapshot!.note).toContain('s.b was truncated, rewritten or replaced');
  expect(await copied(here)).toEqual(await seen());
}, 120_000);

test('a table that is truncated while nobody locks it ends a job with onSnapshotLost: fail; resumed, it starts over', async () => {
  const here = await scene();
  await here.workers.start();
  const handle = await start(here, { onSnapshotLost: 'fail' });
  const run = await runOf(handle);
  await midCopy(here);
  await rewriteUnder(here, run, 'TRUNCATE s.b');
  const failure = await failureOfWorkflow(handle);
  expect(failure.type).toBe('SourceRewritten');
  expect(failure.message).toContain('s.b was truncated, rewritten or replaced');
  expect(failure.message).toContain(`"resume": "${run}"`);
  const again = await start(here, { resume: run });
  const seen = await witness(here, run, 2);
  const report = (await again.result()) as JobReport;
  expect(report.snapshot).toMatchObject({ number: 2, restarts: 0 });
  expect(await copied(here)).toEqual(await seen());
}, 120_000);
