import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CheckReport } from '../../src/core/activities.js';
import { quoteLiteral } from '../../src/connectors/postgres/sql.js';
import { sumOfTables } from '../../src/devstack/demo/kill-once.js';
import { discard, type JobProgress, type JobReport } from '../../workflows/messages.js';
import { FakeDatabricks, TOKEN } from '../support/fake-databricks.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import { testWorkers, type TestWorkers } from '../support/worker.js';

/** Whole jobs from Postgres into a workspace of our own making. No real one was tried. */

const ROWS = 20_000;
/** With everything that could end a literal, a list of columns or a statement. */
const COMMENTS = { table: `it's "all", \\ (of it); :name`, day: `NOT NULL, \\' or ('so');\nCOMMENT 'x'` };

let postgres: TestPostgres;
let temporal: TestTemporal;
let fake: FakeDatabricks;
let url: string;
let workers: TestWorkers;

beforeAll(async () => {
  [postgres, temporal, fake] = await Promise.all([
    startTestPostgres('source'),
    startTestTemporal(),
    FakeDatabricks.start(),
  ]);
  url = await postgres.createDatabase('databricks_end_to_end');
  await runSql(
    url,
    `CREATE TYPE mood AS ENUM ('sad', 'glad');
     CREATE TABLE orders (id bigint PRIMARY KEY, region text, day date NOT NULL, amount numeric(12,2), at timestamptz,
       seen timestamp, ok boolean, mood mood, tags text[], body bytea);
     INSERT INTO orders SELECT n, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN 'nörd/süd=1' ELSE 'west' END, date '2024-01-01' + (n % 30)::int,
       n * 1.01, timestamptz '2024-01-01 00:00:00.123456Z' + n * interval '1 s', timestamp '2024-01-01 00:00:00' + n * interval '1 s',
       n % 2 = 0, CASE WHEN n % 3 = 0 THEN 'glad'::mood END, ARRAY['a', NULL, n::text], sha256(n::text::bytea)
       FROM generate_series(1, ${ROWS}) n;
     COMMENT ON TABLE orders IS ${quoteLiteral(COMMENTS.table)};
     COMMENT ON COLUMN orders.day IS ${quoteLiteral(COMMENTS.day)};
     ANALYZE`,
  );
  const { host } = fake.config();
  workers = await testWorkers({
    ...{ temporal: temporal.address, taskQueue: temporal.unique('dbx'), sourceUrl: url, destinationUrl: url },
    connections: [
      `lake: {type: databricks, host: "${host}", warehouse: w1, token: ${TOKEN}, volume: dev.landing.files}`,
      `control: {type: databricks, host: "${host}", warehouse: w1, token: ${TOKEN}, catalog: dev}`,
    ],
  });
  await workers.start();
}, 360_000);

afterEach(() => {
  fake.faults.length = 0;
});

afterAll(async () => {
  await workers.stop();
  await fake.stop();
  await temporal.stop();
  await postgres.stop();
});

const orders = (to: string, more: object = {}) => ({
  from: 'public.orders',
  to,
  partition: { by: 'id', count: 8 },
  ...more,
});

async function start(tables: object[], more: object = {}) {
  const input = {
    ...{ name: temporal.unique('lake'), source: 'shop', destination: 'lake', tables, parallelism: 4 },
    ...{ retry: { heartbeatTimeout: '5s', initialInterval: '1s', maximumInterval: '2s' }, ...more },
  };
  const options = { taskQueue: workers.taskQueue, workflowId: temporal.unique('job'), args: [input] };
  return temporal.client.workflow.start('copyJob', options);
}

async function run(tables: object[], more: object = {}): Promise<JobReport> {
  return (await (await start(tables, more)).result()) as JobReport;
}

/** Resolves when a partition is committed. */
async function untilCommitted(handle: WorkflowHandle): Promise<void> {
  const committed = async () =>
    (await sumOfTables(temporal.client, await handle.query<JobProgress>('progress'))).committed;
  await expect.poll(committed, { timeout: 120_000 }).toBeGreaterThan(0);
}

const COMMON = `coalesce(region, '-'), day, amount, ok::int, coalesce(mood::text, '-')`;

/** Digests of all rows in order, as each side prints them. */
async function expected(): Promise<string> {
  const line = `concat_ws('|', id, ${COMMON}, (extract(epoch FROM at) * 1000000)::bigint, to_char(seen, 'YYYY-MM-DD HH24:MI:SS'),
    array_to_string(tags, ',', '-'), encode(body, 'hex'))`;
  const [row] = await runSql<{ digest: string }>(
    url,
    `SELECT md5(string_agg(${line}, ';' ORDER BY id)) AS digest FROM orders`,
  );
  return row!.digest;
}

async function read(to: string): Promise<{ rows: number; ids: number; digest: string }> {
  const line = `concat_ws('|', id, ${COMMON}, epoch_us("at"), strftime(seen, '%Y-%m-%d %H:%M:%S'),
    array_to_string(list_transform(tags, lambda x: coalesce(x, '-')), ','), lower(hex(body)))`;
  const found = await fake.warehouse.raw(
    `SELECT count(*), count(DISTINCT id), md5(string_agg(${line}, ';' ORDER BY id)) FROM dev.${to}`,
  );
  const [rows, ids, digest] = found.rows[0]!;
  return { rows: Number(rows), ids: Number(ids), digest: digest! };
}

const whole = async () => ({ rows: ROWS, ids: ROWS, digest: await expected() });

/** What Longhaul has at the workspace beside targets and its ledger: tables, and files of the volume. */
function leftovers(): string[] {
  const tables = [...fake.warehouse.tables.keys()].filter((key) => key.includes('.longhaul_'));
  const root = join(fake.warehouse.root, 'Volumes/dev/landing/files/longhaul');
  if (!existsSync(root)) return tables;
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  return [...tables, ...files.filter((path) => !path.startsWith('_longhaul/'))];
}

describe('a table of a warehouse', () => {
  it('is what the source has, value by value, with nothing left beside it', async () => {
    const report = await run([orders('bronze.orders')]);
    expect(report).toMatchObject({ phase: 'complete', rows: ROWS });
    expect(await read('bronze.orders')).toEqual(await whole());
    expect(leftovers()).toEqual([]);
    const { comment, columns } = fake.warehouse.tables.get('dev.bronze.orders')!;
    expect(comment).toBe(COMMENTS.table);
    expect(columns.slice(0, 3)).toEqual([
      { name: 'id', type: 'BIGINT', nullable: false },
      { name: 'region', type: 'STRING', nullable: true },
      { name: 'day', type: 'DATE', nullable: false, comment: COMMENTS.day },
    ]);
  });

  it('is appended to, refused a second time, and replaced in one step', async () => {
    const one = { mode: 'append', name: 'nightly' };
    await run([orders('bronze.again')], one);
    await expect(run([orders('bronze.again')], one)).rejects.toThrow();
    await run([orders('bronze.again')], { ...one, again: true });
    expect(await read('bronze.again')).toMatchObject({ rows: 2 * ROWS, ids: ROWS });
    await run([orders('bronze.again', { where: 'id <= 100' })]);
    expect(await read('bronze.again')).toMatchObject({ rows: 100, ids: 100 });
    expect(leftovers()).toEqual([]);
  });

  it.each([
    ['replace', 'lost_replace', /^INSERT OVERWRITE `dev`\.`bronze`/],
    ['append', 'lost_append', /^COPY INTO `dev`\.`bronze`/],
  ])('has every row once though the answer to its %s is lost, and to files and records too', async (mode, name, at) => {
    fake.faults.push({ at, what: 'lost' }, { at: /^PUT .*longhaul_data/, what: 'lost' });
    fake.faults.push({ at: /^PUT .*receipts/, what: 'lost' }, { at: /^PUT .*\/log\/.*[1-9]\.json/, what: 'lost' });
    await run([orders(`bronze.${name}`)], { mode });
    expect(fake.faults).toEqual([]);
    expect(await read(`bronze.${name}`)).toEqual(await whole());
    expect(leftovers()).toEqual([]);
  });

  it('has every row once, though a worker is killed in mid-copy', async () => {
    const victim = await workers.start();
    const handle = await start([orders('bronze.killed', { partition: { by: 'id', count: 40 } })]);
    await untilCommitted(handle);
    process.kill(victim.pid, 'SIGKILL');
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
    expect(await read('bronze.killed')).toEqual(await whole());
  });

  it.each([
    ['replace', 'queued'],
    ['append', 'running'],
  ] as const)('has every row once, though its worker is killed while its %s is %s', async (mode, where) => {
    const to = `bronze.publishing_${mode}`;
    const hold = fake.hold(
      mode === 'replace' ? /^INSERT OVERWRITE `dev`\.`bronze`/ : /^COPY INTO `dev`\.`bronze`/,
      where,
    );
    await workers.stopAll();
    const victim = await workers.start();
    const handle = await start([orders(to)], { mode });
    await hold.reached;
    process.kill(victim.pid, 'SIGKILL');
    await workers.start();
    hold.release();
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
    await fake.idle();
    expect(await read(to)).toEqual(await whole());
  });

  it('is asked about before data moves', async () => {
    const { problems } = await temporal.client.workflow.execute<(input: unknown) => Promise<CheckReport>>('checkJob', {
      ...{ taskQueue: workers.taskQueue, workflowId: temporal.unique('check') },
      args: [
        {
          job: {
            ...{ name: 'check', source: 'shop', destination: 'lake', mode: 'append' },
            tables: [orders('bronze.mistakes', { partitionBy: ['region'], publish: 'partition' })],
          },
        },
      ],
    });
    expect(problems.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'tables[0].publish: partition is not for a lake: its tables become visible in one step',
      'tables[0].partitionBy: is not for a warehouse, which lays its tables out by itself',
    ]);
  });
});

describe('cancelled and discarded, a job leaves', () => {
  it('nothing in the volume, in mid-copy', async () => {
    const before = leftovers();
    const handle = await start([orders('bronze.given_up', { partition: { by: 'id', count: 200 } })], {
      parallelism: 1,
    });
    await untilCommitted(handle);
    expect(leftovers().some((path) => path.startsWith('bronze/given_up/longhaul_data/'))).toBe(true);
    await handle.signal(discard);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    expect(fake.warehouse.tables.has('dev.bronze.given_up')).toBe(false);
    expect(leftovers()).toEqual(before);
  });

  it('the target as it was, while its statement waits in the queue', async () => {
    await run([orders('bronze.kept')]);
    const before = leftovers();
    const hold = fake.hold(/^INSERT OVERWRITE `dev`\.`bronze`/, 'queued');
    const handle = await start([orders('bronze.kept', { where: 'id <= 100' })]);
    await hold.reached;
    await handle.signal(discard);
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    hold.release();
    await fake.idle();
    expect(await read('bronze.kept')).toEqual(await whole());
    expect(leftovers()).toEqual(before);
  });
});

it('is filled by a list of queries that lies at the warehouse too, where it is told what is committed', async () => {
  await fake.warehouse.raw('CREATE TABLE dev.bronze._extract (query_id INT, table_name TEXT, query TEXT, got TEXT)');
  for (let n = 0; n < 4; n++)
    await fake.warehouse.raw(
      `INSERT INTO dev.bronze._extract VALUES (${n}, 'listed', 'SELECT * FROM public.orders WHERE id % 4 = ${n}', NULL)`,
    );
  const queriesFrom = {
    connection: 'control',
    sql: 'SELECT query_id, table_name, query FROM dev.bronze._extract WHERE got IS NULL ORDER BY query_id',
    onCommitted: 'UPDATE dev.bronze._extract SET got = :rows WHERE query_id = CAST(:query_id AS INT)',
  };
  const report = await run([{ queriesFrom, to: 'bronze.{table}' }]);
  expect(report).toMatchObject({ phase: 'complete', rows: ROWS });
  expect(await read('bronze.listed')).toEqual(await whole());
  const { rows } = await fake.warehouse.raw('SELECT got FROM dev.bronze._extract');
  expect(rows).toEqual(Array.from({ length: 4 }, () => [String(ROWS / 4)]));
});
