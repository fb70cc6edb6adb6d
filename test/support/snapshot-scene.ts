import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { Client } from 'pg';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { holderPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import type { Supervised } from '../../src/devstack/supervised.js';
import type { JobProgress } from '../../workflows/messages.js';
import { runSql, startTestPostgres, type TestPostgres } from './postgres.js';
import { startTestTemporal, type TestTemporal } from './temporal.js';
import { until } from './workflows.js';
import { testWorkers, type TestWorkers } from './worker.js';

/** Jobs with `consistency: snapshot`, on worker processes, from a source that is written to all the time. */

export const TABLES = ['s.a', 's.b'];
const ROWS = 10_000;

/** Milliseconds: some hundred writes while a table is copied; without a pause they would take the machine from the copy. */
const WRITE_EVERY = 25;

/** Two databases of one test, the source's written to until the test ends, and workers on them. */
export interface Scene {
  readonly sourceUrl: string;
  readonly destinationUrl: string;
  readonly workers: TestWorkers;
  start(more?: object): Promise<WorkflowHandle>;
}

/** Servers for the scenes of one test file. */
export function snapshotScenes(prefix: string): () => Promise<Scene> {
  let servers: [TestPostgres, TestPostgres, TestTemporal];
  beforeAll(async () => {
    servers = await Promise.all([startTestPostgres('source'), startTestPostgres('destination'), startTestTemporal()]);
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop())));
  let made = 0;
  return async () => {
    const [source, destination, temporal] = servers;
    const name = `${prefix}_${++made}`;
    const sourceUrl = await source.createDatabase(`${name}_from`);
    const destinationUrl = await destination.createDatabase(`${name}_to`);
    await fill(sourceUrl, destinationUrl);
    const taskQueue = temporal.unique('longhaul');
    const workers = await testWorkers({ temporal: temporal.address, taskQueue, sourceUrl, destinationUrl });
    onTestFinished(() => workers.stop(), 60_000);
    await writeAllTheTime(sourceUrl);
    return { sourceUrl, destinationUrl, workers, start: (more) => start(temporal, taskQueue, more) };
  };
}

async function fill(sourceUrl: string, destinationUrl: string): Promise<void> {
  await runSql(sourceUrl, 'CREATE SCHEMA s');
  await runSql(destinationUrl, 'CREATE SCHEMA s');
  for (const table of TABLES)
    await runSql(
      sourceUrl,
      `CREATE TABLE ${table} (id bigserial PRIMARY KEY, n int, note text);
       INSERT INTO ${table} (n, note) SELECT i, repeat('x', 100) FROM generate_series(1, ${ROWS}) i; ANALYZE ${table}`,
    );
}

function start({ client, unique }: TestTemporal, taskQueue: string, more: object = {}): Promise<WorkflowHandle> {
  const job = {
    ...{ name: 'snap', source: 'shop', destination: 'warehouse', parallelism: 2, consistency: 'snapshot' },
    retry: { heartbeatTimeout: '5s', initialInterval: '1s', maximumAttempts: 2 },
    ...{ tables: TABLES, defaults: { partition: { count: 20 } }, ...more },
  };
  return client.workflow.start('copyJob', { taskQueue, workflowId: unique('job'), args: [job] });
}

/** Inserts, updates and deletes rows anywhere in the tables until the test ends. */
async function writeAllTheTime(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const writer = { on: true };
  const written = (async () => {
    for (let i = 1; writer.on; i = (i * 7919 + 13) % ROWS) {
      for (const table of TABLES)
        await unlessDeadlocked(
          client.query(
            `INSERT INTO ${table} (n, note) VALUES (-${i}, 'new'); UPDATE ${table} SET n = n + 1 WHERE id IN (${i}, ${i + 3}); DELETE FROM ${table} WHERE id = ${i + 5}`,
          ),
        );
      await sleep(WRITE_EVERY);
    }
  })();
  onTestFinished(async () => {
    writer.on = false;
    await written;
    await client.end();
  });
}

/** A test may write to the same rows in another order. */
async function unlessDeadlocked(written: Promise<unknown>): Promise<void> {
  try {
    await written;
  } catch (error) {
    if ((error as { code?: string }).code !== '40P01') throw error;
  }
}

export const runOf = async (handle: WorkflowHandle): Promise<string> => (await handle.describe()).runId;

export const progressOf = (handle: WorkflowHandle) => handle.query<JobProgress>('progress');

/** Sessions that say they hold a snapshot, also those that a lost worker left behind; the oldest first. */
export const holders = ({ sourceUrl }: Scene, run: string, snapshot: number) =>
  runSql<{ pid: number; id: string }>(
    sourceUrl,
    `SELECT pid, substr(application_name, length($1::text) + 1) AS id FROM pg_stat_activity
     WHERE starts_with(application_name, $1) ORDER BY backend_start`,
    [holderPrefix({ run, snapshot })],
  );

export async function bothHold(scene: Scene, run: string, snapshot: number): Promise<{ pid: number; id: string }[]> {
  await until(async () => (await holders(scene, run, snapshot)).length >= 2);
  return holders(scene, run, snapshot);
}

/** Ends sessions at the same moment. */
export async function endAtOnce({ sourceUrl }: Scene, held: readonly { pid: number }[]): Promise<void> {
  await runSql(sourceUrl, 'SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid', [
    held.map(({ pid }) => pid),
  ]);
}

/** Sees the source as a snapshot of the run has it, until the test ends. */
export async function witness(scene: Scene, run: string, snapshot: number): Promise<() => Promise<string[]>> {
  await until(async () => (await holders(scene, run, snapshot)).length > 0);
  const [{ id } = { id: '' }] = await holders(scene, run, snapshot);
  const client = new Client({ connectionString: scene.sourceUrl });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '${id}'`);
  // Nothing was read yet: the tables are locked as a holder locks them, before it ends.
  await client.query(`LOCK TABLE ${TABLES.join(', ')} IN ACCESS SHARE MODE`);
  return async () => {
    const seen: string[] = [];
    for (const table of TABLES) seen.push(await digestOf((text) => client.query<Digest>(text), table));
    return seen;
  };
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

/** The destination's tables, to be compared with what a witness saw. */
export const copied = ({ destinationUrl }: Scene) =>
  Promise.all(
    TABLES.map((table) => digestOf(async (text) => ({ rows: await runSql<Digest>(destinationUrl, text) }), table)),
  );

export async function committed({ destinationUrl }: Scene): Promise<number> {
  const rows = await runSql(destinationUrl, 'SELECT FROM longhaul.receipts').catch(() => []);
  return rows.length;
}

export const midCopy = (scene: Scene, least = 10) => until(async () => (await committed(scene)) >= least);

/** Sessions of the job that are left at the source; a left holder's lease may last two minutes. */
export const sessionsLeft = ({ sourceUrl }: Scene) =>
  runSql(
    sourceUrl,
    `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'longhaul%'`,
  );

export async function kill(worker: Supervised): Promise<void> {
  process.kill(worker.pid, 'SIGKILL');
  await worker.exited;
}
