import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareTable } from '../../src/devstack/compare.js';
import type { JobProgress, JobReport, TableProgress } from '../../workflows/messages.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import { testWorkers, type TestWorkers } from '../support/worker.js';

/** Stands in key columns, in a bad row and in a query: must be seen nowhere but in the databases. */
const CANARY = 'CANARY-7f3a';

const TABLES = `
  CREATE SCHEMA sales;
  CREATE TABLE sales.lines (order_id bigint, line int, note text, PRIMARY KEY (order_id, line));
  INSERT INTO sales.lines SELECT n / 3, n % 3, repeat('x', 200) FROM generate_series(1, 120000) n;
  CREATE TABLE sales.parts (sku text PRIMARY KEY, price numeric(10,2), tags text[]);
  INSERT INTO sales.parts SELECT '${CANARY}-' || n, n / 7.0, ARRAY['a', NULL] FROM generate_series(1, 60000) n;
  CREATE TABLE sales.people (id uuid PRIMARY KEY, seen timestamptz, photo bytea, extra jsonb);
  INSERT INTO sales.people SELECT md5(n::text)::uuid, now(), decode(md5(n::text), 'hex'), '{"a": 1}' FROM generate_series(1, 60000) n;
  ANALYZE;`;

let source: TestPostgres;
let destination: TestPostgres;
let temporal: TestTemporal;

interface Fixture {
  readonly sourceUrl: string;
  readonly destinationUrl: string;
  readonly workers: TestWorkers;
}

let made = 0;
const cleanups: (() => Promise<void>)[] = [];

async function fixture(): Promise<Fixture> {
  const name = `end_to_end_${++made}`;
  const sourceUrl = await source.createDatabase(`${name}_shop`);
  const destinationUrl = await destination.createDatabase(`${name}_warehouse`);
  await runSql(sourceUrl, TABLES);
  await runSql(destinationUrl, 'CREATE SCHEMA sales');
  const taskQueue = temporal.unique('longhaul');
  const workers = await testWorkers({ temporal: temporal.address, taskQueue, sourceUrl, destinationUrl });
  cleanups.push(() => workers.stop());
  return { sourceUrl, destinationUrl, workers };
}

const job = (extra: object = {}): Record<string, unknown> => ({
  name: 'nightly',
  source: 'shop',
  destination: 'warehouse',
  parallelism: 3,
  retry: { heartbeatTimeout: '5s', initialInterval: '1s', maximumAttempts: 2 },
  defaults: { partition: { count: 12 } },
  tables: ['sales.*'],
  ...extra,
});

/** Starts a job as its users do: with the Temporal CLI, from a file. */
async function startByCli(input: unknown, { workers }: Fixture): Promise<WorkflowHandle> {
  const workflowId = temporal.unique('job');
  const file = join(await mkdtemp(join(tmpdir(), 'longhaul-job-')), 'job.json');
  await writeFile(file, JSON.stringify(input));
  const args = [
    'workflow',
    'start',
    '--address',
    temporal.address,
    '--type',
    'copyJob',
    '--task-queue',
    workers.taskQueue,
  ];
  await promisify(execFile)(temporal.cli, [...args, '--workflow-id', workflowId, '--input-file', file]);
  return temporal.client.workflow.getHandle(workflowId);
}

/** The progress of all tables, each from its own child while that runs. */
async function progressOf(handle: WorkflowHandle): Promise<TableProgress[]> {
  const { tables } = await handle.query<JobProgress>('progress');
  const own = async (table: JobProgress['tables'][number]): Promise<TableProgress> => {
    if (table.child === undefined || table.endedAt !== undefined) return table;
    return temporal.client.workflow.getHandle(table.child).query<TableProgress>('progress');
  };
  return Promise.all(tables.map(own));
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`never came: ${what}`);
}

const midCopy = (handle: WorkflowHandle): Promise<void> =>
  until('the middle of the copy', async () => {
    const tables = await progressOf(handle);
    const sum = (of: (table: TableProgress) => number): number => tables.reduce((total, table) => total + of(table), 0);
    return sum((table) => table.committed) >= 5 && sum((table) => table.running) > 0;
  });

async function failureOf(handle: WorkflowHandle): Promise<string> {
  const error: unknown = await handle.result().then(
    () => new Error('the job is green'),
    (failure: unknown) => failure,
  );
  return error instanceof WorkflowFailedError ? (error.cause?.message ?? '') : String(error);
}

/** The exported history of a job and its children, as JSON text. */
async function histories(handle: WorkflowHandle): Promise<string> {
  const { tables } = await handle.query<JobProgress>('progress');
  const ids = [handle.workflowId, ...tables.flatMap((table) => table.child ?? [])];
  const shown = ids.map((id) =>
    promisify(execFile)(
      temporal.cli,
      ['workflow', 'show', '--workflow-id', id, '--output', 'json', '--address', temporal.address],
      { maxBuffer: 1 << 28 },
    ),
  );
  return (await Promise.all(shown)).map(({ stdout }) => stdout + decoded(stdout)).join('\n');
}

/** Payloads stand base64-encoded in an exported history. */
const decoded = (history: string): string =>
  [...history.matchAll(/"data": ?"([A-Za-z0-9+/=]+)"/g)]
    .map(([, data]) => Buffer.from(data!, 'base64').toString())
    .join('\n');

async function expectNothingLeft({ sourceUrl, destinationUrl }: Fixture): Promise<void> {
  const sessions = (url: string) =>
    runSql(
      url,
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
    );
  await until(
    'the end of all sessions',
    async () => (await sessions(sourceUrl)).length + (await sessions(destinationUrl)).length === 0,
  );
}

async function stagingTables(url: string): Promise<string[]> {
  const rows = await runSql<{ relname: string }>(
    url,
    `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^_longhaul'`,
  );
  return rows.map((row) => row.relname);
}

const SALES = ['sales.lines', 'sales.parts', 'sales.people'];

async function expectEqual({ sourceUrl, destinationUrl }: Fixture, tables: readonly string[] = SALES): Promise<void> {
  for (const table of tables) {
    const difference = await compareTable(sourceUrl, destinationUrl, table, table);
    expect({ table, missing: difference.missing, extra: difference.extra }).toEqual({ table, missing: 0, extra: 0 });
    expect(difference.sourceRows).toBeGreaterThan(0);
  }
}

beforeAll(async () => {
  [source, destination, temporal] = await Promise.all([
    startTestPostgres('source'),
    startTestPostgres('destination'),
    startTestTemporal(),
  ]);
});

afterAll(async () => {
  await Promise.all(cleanups.map((cleanup) => cleanup()));
  await Promise.all([source.stop(), destination.stop(), temporal.stop()]);
});

describe('a job started with the Temporal CLI', () => {
  it('survives the SIGKILL of its worker, and every row arrives once', async () => {
    const made = await fixture();
    const first = await made.workers.start();
    const handle = await startByCli(job(), made);
    await midCopy(handle);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    await made.workers.start();
    const report = (await handle.result()) as JobReport;
    expect(report.phase).toBe('complete');
    expect(report.rows).toBe(240_000);
    expect(report.tables.map((table) => [table.table, table.rows, table.phase])).toEqual([
      ['sales.lines', 120_000, 'published'],
      ['sales.parts', 60_000, 'published'],
      ['sales.people', 60_000, 'published'],
    ]);
    expect(report.tables.reduce((total, table) => total + table.retries, 0)).toBeGreaterThan(0);
    await expectEqual(made);
    expect(await stagingTables(made.destinationUrl)).toEqual([]);
    const keys = await runSql(
      made.destinationUrl,
      `SELECT conrelid::regclass FROM pg_constraint WHERE contype = 'p' AND connamespace = 'sales'::regnamespace`,
    );
    expect(keys).toHaveLength(3);
    await expectNothingLeft(made);
  });

  it('is handed over at once when its worker gets SIGTERM, and no attempt is used up', async () => {
    const made = await fixture();
    const first = await made.workers.start();
    const handle = await startByCli(
      job({ retry: { maximumAttempts: 1, maximumCrashes: 1, heartbeatTimeout: '60s' } }),
      made,
    );
    await midCopy(handle);
    await made.workers.start();
    const exit = await first.stop('SIGTERM');
    expect(exit).toEqual({ code: 0, signal: null });
    const report = (await handle.result()) as JobReport;
    expect(report.phase).toBe('complete');
    await expectEqual(made);
  });

  it('leaves neither password, URL nor key value in its history or in the log, also when rows are refused', async () => {
    const made = await fixture();
    await made.workers.start();
    await runSql(
      made.sourceUrl,
      `CREATE TABLE sales.bad (sku text PRIMARY KEY, n text); INSERT INTO sales.bad SELECT '${CANARY}-' || n, '${CANARY}' FROM generate_series(1, 500) n`,
    );
    await runSql(made.destinationUrl, `CREATE TABLE sales.bad (sku text PRIMARY KEY, n text CHECK (n <> '${CANARY}'))`);
    const handle = await startByCli(job({ onFailure: 'fail', tables: ['sales.bad', 'sales.parts'] }), made);
    const failure = await failureOf(handle);
    expect(failure).toContain('sales.bad');
    expect(failure).toContain('DataRejected');
    await expectEqual(made, ['sales.parts']);
    expect(await runSql(made.destinationUrl, 'SELECT * FROM sales.bad')).toEqual([]);
    const seen = `${await histories(handle)}\n${await made.workers.log()}`;
    expect(seen).toContain('sales.parts');
    for (const url of [made.sourceUrl, made.destinationUrl]) {
      expect(seen).not.toContain(url);
      expect(seen).not.toContain(new URL(url).password);
    }
    expect(seen).not.toContain(CANARY);
  });

  it('fails at once with every problem of a wrong job, before anything is touched', async () => {
    const made = await fixture();
    await made.workers.start();
    const wrong = job({
      paralelism: 4,
      onFailure: 'hope',
      tables: [
        'sales.liness',
        { from: 'sales.parts', columns: ['skuu'] },
        { from: 'sales.people', where: 'seeen > now()' },
      ],
    });
    const failure = await failureOf(await startByCli(wrong, made));
    for (const word of ['paralelism', 'onFailure']) expect(failure).toContain(word);
    const unknownThings = job({
      tables: [
        'sales.liness',
        { from: 'sales.parts', columns: ['skuu'] },
        { from: 'sales.people', where: 'seeen > now()' },
      ],
    });
    const second = await failureOf(await startByCli(unknownThings, made));
    for (const word of ['tables[0]', 'sales.lines', 'tables[1]', 'skuu', 'tables[2]', 'seeen'])
      expect(second).toContain(word);
    expect(
      await runSql(made.destinationUrl, `SELECT * FROM pg_class WHERE relnamespace = 'sales'::regnamespace`),
    ).toEqual([]);
  });

  it('leaves the target as it was when it is cancelled, and can be resumed', async () => {
    const made = await fixture();
    await made.workers.start();
    await runSql(
      made.destinationUrl,
      `CREATE TABLE sales.lines (order_id bigint, line int, note text, PRIMARY KEY (order_id, line)); INSERT INTO sales.lines VALUES (-1, 0, 'old')`,
    );
    const input = job({ tables: ['sales.lines'], defaults: { partition: { count: 60 } }, parallelism: 1 });
    const handle = await startByCli(input, made);
    await midCopy(handle);
    const { run } = await handle.query<JobProgress>('progress');
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect((await handle.describe()).status.name).toBe('CANCELLED');
    expect(await runSql(made.destinationUrl, 'SELECT note FROM sales.lines')).toEqual([{ note: 'old' }]);
    await expectNothingLeft(made);
    const report = (await (await startByCli({ ...input, resume: run }, made)).result()) as JobReport;
    expect(report).toMatchObject({ run, phase: 'complete', rows: 120_000 });
    await expectEqual(made, ['sales.lines']);
  });

  it('appends all rows in one step, after those that were there', async () => {
    const made = await fixture();
    await made.workers.start();
    await runSql(
      made.destinationUrl,
      `CREATE TABLE sales.lines (order_id bigint, line int, note text, PRIMARY KEY (order_id, line)); INSERT INTO sales.lines VALUES (-1, 0, 'old')`,
    );
    const report = (await (
      await startByCli(job({ mode: 'append', tables: ['sales.lines'] }), made)
    ).result()) as JobReport;
    expect(report.rows).toBe(120_000);
    const difference = await compareTable(made.sourceUrl, made.destinationUrl, 'sales.lines', 'sales.lines');
    expect(difference).toEqual({ sourceRows: 120_000, destinationRows: 120_001, missing: 0, extra: 1 });
    expect(await stagingTables(made.destinationUrl)).toEqual([]);
  });
});
