import { execFile } from 'node:child_process';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheckReport, Vacuumed } from '../../src/core/activities.js';
import { quoteLiteral } from '../../src/connectors/postgres/sql.js';
import { sumOfTables } from '../../src/devstack/demo/kill-once.js';
import type { JobProgress, JobReport } from '../../workflows/messages.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { askPython, DELTA_RS, pythonWith } from '../support/python.js';
import { S3_START_TIMEOUT, startS3, type S3Server } from '../support/s3.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import { testWorkers, type TestWorkers } from '../support/worker.js';

/** Whole jobs from Postgres into lakes: in a folder and in a real S3 server, read back by delta-rs and pyarrow. */

const ROWS = 20_000;

let postgres: TestPostgres;
let temporal: TestTemporal;
let s3: S3Server;
let python: string;
let url: string;
let workers: TestWorkers;
let root: string;

beforeAll(async () => {
  [postgres, temporal, s3, python] = await Promise.all([
    startTestPostgres('source'),
    startTestTemporal(),
    startS3(),
    pythonWith(DELTA_RS),
  ]);
  url = await postgres.createDatabase('lake_end_to_end');
  await runSql(
    url,
    `CREATE TYPE mood AS ENUM ('sad', 'glad');
     CREATE TABLE orders (id bigint PRIMARY KEY, region text, day date NOT NULL, amount numeric(12,2), at timestamptz,
       seen timestamp, ok boolean, mood mood, tags text[], note text, body bytea);
     INSERT INTO orders SELECT n, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN 'nörd/süd=1' ELSE 'west' END, date '2024-01-01' + (n % 30)::int,
       n * 1.01, timestamptz '2024-01-01 00:00:00.123456Z' + n * interval '1 s', timestamp '2024-01-01 00:00:00' + n * interval '1 s',
       n % 2 = 0, CASE WHEN n % 3 = 0 THEN 'glad'::mood END, ARRAY['a', NULL, n::text], repeat('x' || n, 20), sha256(n::text::bytea)
       FROM generate_series(1, ${ROWS}) n;
     CREATE TABLE plain (LIKE orders INCLUDING ALL); INSERT INTO plain TABLE orders;
     CREATE TABLE loose (id int PRIMARY KEY, amount numeric); INSERT INTO loose VALUES (1, 1.5), (2, NULL);
     ANALYZE`,
  );
  root = await mkdtemp(join(tmpdir(), 'longhaul-lake-jobs-'));
  const { accessKeyId, secretAccessKey } = s3.credentials;
  const inBucket = (path: string) =>
    `path: "s3://${s3.bucket}/${path}", s3: {endpoint: "${s3.endpoint}", region: us-east-1, accessKeyId: ${accessKeyId}, secretAccessKey: ${secretAccessKey}}`;
  workers = await testWorkers({
    ...{ temporal: temporal.address, taskQueue: temporal.unique('lake'), sourceUrl: url, destinationUrl: url },
    connections: [
      `lake: {type: delta, path: "${join(root, 'delta')}"}`,
      `files: {type: parquet, path: "${join(root, 'parquet')}", compression: snappy}`,
      `bucket: {type: delta, ${inBucket('jobs')}}`,
      `listed: {type: parquet, ${inBucket('listed')}}`,
    ],
  });
  await workers.start();
}, S3_START_TIMEOUT);

afterAll(async () => {
  await workers.stop();
  await temporal.stop();
  await postgres.stop();
  await s3.stop();
  await rm(root, { recursive: true, force: true });
});

const orders = (to: string, more: object = {}) => ({
  from: 'public.orders',
  to,
  partition: { by: 'id', count: 8 },
  ...more,
});

async function start(destination: string, tables: object[], more: object = {}) {
  const input = {
    ...{ name: temporal.unique('lake'), source: 'shop', destination, tables, parallelism: 4 },
    ...{ retry: { heartbeatTimeout: '5s', initialInterval: '1s', maximumInterval: '2s' }, ...more },
  };
  const options = { taskQueue: workers.taskQueue, workflowId: temporal.unique('job'), args: [input] };
  return temporal.client.workflow.start('copyJob', options);
}

/** Resolves when a partition is committed. */
async function untilCommitted(handle: WorkflowHandle): Promise<void> {
  const committed = async () =>
    (await sumOfTables(temporal.client, await handle.query<JobProgress>('progress'))).committed;
  await expect.poll(committed, { timeout: 120_000 }).toBeGreaterThan(0);
}

async function run(destination: string, tables: object[], more: object = {}): Promise<JobReport> {
  return (await (await start(destination, tables, more)).result()) as JobReport;
}

/** Digest of all rows in order, as Postgres prints their values. */
async function expected(): Promise<string> {
  const lines = `SELECT id, ${LINE} AS line FROM orders`;
  const [row] = await runSql<{ digest: string }>(
    url,
    `SELECT md5(string_agg(line, E'\\n' ORDER BY id)) AS digest FROM (${lines}) l`,
  );
  return row!.digest;
}

const LINE = `concat_ws('|', id, coalesce(region, '-'), day, amount, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
  to_char(seen, 'YYYY-MM-DD HH24:MI:SS.US'), ok::int, coalesce(mood::text, '-'), coalesce(array_to_string(tags, ',', '-'), ''), note, encode(body, 'hex'))`;

/** The same of a table of pyarrow, called `t`. */
const DIGEST = `
import hashlib
def digest(t):
  rows = sorted(t.to_pylist(), key=lambda r: r['id'])
  f = lambda d: d.strftime('%Y-%m-%d %H:%M:%S.%f')
  lines = ['|'.join([str(r['id']), '-' if r['region'] is None else r['region'], str(r['day']), str(r['amount']), f(r['at']), f(r['seen']),
    str(int(r['ok'])), r['mood'] or '-', ','.join('-' if x is None else x for x in r['tags']), r['note'], r['body'].hex()]) for r in rows]
  return hashlib.md5('\\n'.join(lines).encode()).hexdigest()
`;

interface Read {
  readonly rows: number;
  readonly ids: number;
  readonly digest: string;
  readonly history: readonly string[];
  readonly version: number;
}

const storage = () => ({
  ...{ AWS_ENDPOINT_URL: s3.endpoint, AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId, AWS_REGION: 'us-east-1' },
  ...{ AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey, AWS_ALLOW_HTTP: 'true' },
});

/** What delta-rs makes of the table. */
async function read(table: string, options: object = {}): Promise<Read> {
  const program = `
import sys, json
from deltalake import DeltaTable
given = json.loads(sys.argv[1])
dt = DeltaTable(given['table'], storage_options=given['options'])
t = dt.to_pyarrow_table()
${DIGEST}
print(json.dumps({'rows': t.num_rows, 'ids': len(set(t['id'].to_pylist())), 'digest': digest(t), 'version': dt.version(),
  'history': [h['operation'] for h in dt.history()]}))`;
  return (await askPython(python, program, { table, options })) as Read;
}

const local = (to: string) => join(root, 'delta', ...to.split('.'));

function comment(table: string, day: string): Promise<unknown> {
  return runSql(
    url,
    `COMMENT ON TABLE orders IS ${quoteLiteral(table)}; COMMENT ON COLUMN orders.day IS ${quoteLiteral(day)}`,
  );
}

/** What delta-rs shows of the table's, and of those columns that have any. */
function comments(to: string): Promise<unknown> {
  const program = `
import sys, json
from deltalake import DeltaTable
dt = DeltaTable(json.loads(sys.argv[1]))
fields = json.loads(dt.schema().to_json())['fields']
print(json.dumps({'description': dt.metadata().description, 'columns': {f['name']: f['metadata'] for f in fields if f['metadata']}}))`;
  return askPython(python, program, local(to));
}

describe('a Delta table in a folder', () => {
  it('has every row once, whatever worker is killed', async () => {
    const victim = await workers.start();
    const handle = await start('lake', [
      orders('bronze.orders', { partitionBy: ['region'] }),
      orders('bronze.plain', { from: 'public.plain', partition: { by: 'id', count: 20 } }),
    ]);
    await untilCommitted(handle).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${(await workers.log()).slice(-3000)}`);
    });
    process.kill(victim.pid, 'SIGKILL');
    const report = (await handle.result()) as JobReport;
    expect(report).toMatchObject({ phase: 'complete', rows: 2 * ROWS });
    const digest = await expected();
    for (const table of ['bronze.orders', 'bronze.plain'])
      expect(await read(local(table))).toMatchObject({ rows: ROWS, ids: ROWS, digest, version: 0 });
  });

  it('is appended to, refused a second time, and replaced in one step', async () => {
    const one = { mode: 'append', name: 'nightly' };
    await run('lake', [orders('bronze.again')], one);
    await expect(run('lake', [orders('bronze.again')], one)).rejects.toThrow();
    await run('lake', [orders('bronze.again')], { ...one, again: true });
    expect(await read(local('bronze.again'))).toMatchObject({ rows: 2 * ROWS, ids: ROWS, version: 1 });
    await run('lake', [orders('bronze.again', { where: 'id <= 100' })]);
    expect(await read(local('bronze.again'))).toMatchObject({ rows: 100, ids: 100, version: 2 });
  });

  it('has the comments that the source had when its run was opened, and keeps them', async () => {
    await comment('as it was', 'a "day", in UTC');
    const said = [orders('bronze.said', { partition: { by: 'id', count: 16 } })];
    const handle = await start('lake', said, { parallelism: 1 });
    await untilCommitted(handle);
    const { run: taken, name } = await handle.query<JobProgress>('progress');
    await handle.terminate('by the test');
    await comment('as it is', 'otherwise');
    const report = await run('lake', said, { parallelism: 1, name, resume: taken });
    expect(report).toMatchObject({ phase: 'complete', run: taken, rows: ROWS });
    const kept = { description: 'as it was', columns: { day: { comment: 'a "day", in UTC' } } };
    expect(await comments('bronze.said')).toEqual(kept);
    await run('lake', [orders('bronze.said', { where: 'id <= 100' })]);
    expect(await comments('bronze.said')).toEqual(kept);
  });

  it('is cleaned of what attempts have left, also long after', async () => {
    const handle = await start('lake', [orders('bronze.left', { where: 'id <= 100' })]);
    await handle.result();
    const run = handle.firstExecutionRunId;
    const clean = async (forget: boolean) => {
      const left = join(local('bronze.left'), '_longhaul', run, '0', '1-late-0.parquet');
      await writeFile(left, 'of an attempt that slept');
      const args = [{ destination: 'lake', runs: [run], forget }];
      const options = { taskQueue: workers.taskQueue, workflowId: temporal.unique('clean'), args };
      expect(await temporal.client.workflow.execute('cleanRuns', options)).toEqual({ left: [] });
      await expect(access(left)).rejects.toThrow('ENOENT');
    };
    await clean(true);
    await clean(false);
    expect(await read(local('bronze.left'))).toMatchObject({ rows: 100, ids: 100 });
  });

  it('is asked about before data moves', async () => {
    const { problems } = await temporal.client.workflow.execute<(input: unknown) => Promise<CheckReport>>('checkJob', {
      ...{ taskQueue: workers.taskQueue, workflowId: temporal.unique('check') },
      args: [
        {
          job: {
            ...{ name: 'check', source: 'shop', destination: 'lake', mode: 'append' },
            tables: [
              { from: 'public.loose', to: 'bronze.loose' },
              orders('bronze.mistakes', {
                ...{ partitionBy: ['regoin'], types: { amount: 'short' } },
                ...{ publish: 'partition', rejects: { max: 10 }, verify: 'checksum' },
              }),
            ],
          },
        },
      ],
    });
    const refused = problems.filter(({ path }) => /\.(publish|rejects|verify)$/.test(path));
    expect(refused.map(({ path, message, fix }) => `${path}: ${message}; ${fix}`).toSorted()).toEqual([
      'tables[1].publish: partition is not for a lake: its tables become visible in one step; take it out',
      'tables[1].rejects: a lake has no place for rows that are set aside; take it out',
      'tables[1].verify: checksum can not be had from postgres to delta; write verify: counts',
    ]);
    const others = problems.filter((each) => !refused.includes(each));
    expect(others.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'tables[0].types.amount: column "amount": numeric does not say how many digits its numbers have',
      `tables[1].types.amount: column "amount": numeric(12,2) can't become short without a change`,
      'tables[1].partitionBy[0]: there is no column "regoin"',
    ]);
  });
});

describe('a Delta table in S3', () => {
  it('has every row once, though the server is killed and started again in the middle', async () => {
    const handle = await start('bucket', [orders('bronze.orders', { partition: { by: 'id', count: 40 } })]);
    await untilCommitted(handle);
    await s3.restart();
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
    const found = await read(`s3://${s3.bucket}/jobs/bronze/orders`, storage());
    expect(found).toMatchObject({ rows: ROWS, ids: ROWS, digest: await expected(), version: 0 });
  });
});

/** What pyarrow makes of the files that a table's list names, below a folder or, with options, in S3. */
async function readListed(place: string, options: Partial<ReturnType<typeof storage>> = {}): Promise<Read> {
  const program = `
import sys, json, pyarrow as pa, pyarrow.fs as fs, pyarrow.parquet as pq
from urllib.parse import unquote
given = json.loads(sys.argv[1])
o, scheme = given['options'], 's3://' if given['options'] else 'file://'
files = fs.LocalFileSystem() if not o else fs.S3FileSystem(endpoint_override=o['AWS_ENDPOINT_URL'], region=o['AWS_REGION'],
  access_key=o['AWS_ACCESS_KEY_ID'], secret_key=o['AWS_SECRET_ACCESS_KEY'])
lines = files.open_input_stream(given['place'] + '/_symlink_format_manifest/manifest').read().decode().split()
assert all(line.startswith(scheme) for line in lines), lines
t = pa.concat_tables([pq.read_table(unquote(line[len(scheme):]), filesystem=files, partitioning=None) for line in lines])
${DIGEST}
print(json.dumps({'rows': t.num_rows, 'ids': len(set(t['id'].to_pylist())), 'digest': digest(t)}))`;
  return (await askPython(python, program, { place, options })) as Read;
}

describe('a table of Parquet files', () => {
  it.each([
    ['a folder', 'files', () => readListed(join(root, 'parquet', 'bronze', 'orders'))],
    ['S3', 'listed', () => readListed(`${s3.bucket}/listed/bronze/orders`, storage())],
  ])('is in %s what its list says, before and after it is replaced', async (_where, connection, found) => {
    await run(connection, [orders('bronze.orders')]);
    expect(await found()).toEqual({ rows: ROWS, ids: ROWS, digest: await expected() });
    await run(connection, [orders('bronze.orders', { where: 'id <= 100' })]);
    expect(await found()).toMatchObject({ rows: 100, ids: 100 });
  });

  it('loses the content before the last but one by a vacuum', async () => {
    for (const where of ['id <= 10', 'id <= 20', 'id <= 30']) await run('files', [orders('bronze.nightly', { where })]);
    const vacuum = async (...more: string[]) => {
      const where = ['--config', workers.config, '--address', temporal.address, '--task-queue', workers.taskQueue];
      const what = ['clean', '--vacuum', '--older', '1ms', '--destination', 'files', ...more];
      const program = [resolve('bin/longhaul.js'), ...what, ...where];
      return (await promisify(execFile)(process.execPath, program)).stdout;
    };
    const found = async (...more: string[]) =>
      (JSON.parse(await vacuum('--json', ...more)) as { vacuumed: Vacuumed['tables'] }).vacuumed;
    const first = (await found('--dry-run')).find(({ table }) => table === 'bronze.nightly')!;
    expect(first.files).toBeGreaterThan(0);
    expect(await found()).toContainEqual(first);
    expect(await vacuum()).toContain('Nothing to vacuum');
  });
});
