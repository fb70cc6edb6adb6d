import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobProgress, JobReport } from '../../workflows/messages.js';
import { processesWith } from '../support/command.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { startTestTemporal, type TestTemporal } from '../support/temporal.js';
import { testWorkers, type TestWorkers } from '../support/worker.js';

const ROWS = 20_000;
/** Stands in a query and in the program's environment: must be seen nowhere. */
const CANARY = 'CANARY-7f3a';

/**
 * A program for all that these tests do. Its query says which rows, and what is to happen on the way, once for each word: `flaky`
 * exits with 75 at its first attempt, `refuse` with 78 always, `stubborn` and `hang` go on for ever after their rows, the
 * first time.
 */
const PROGRAM = `import json, os, signal, sys, time
request = json.load(sys.stdin)
query = request['query'].split()
print('connected to the library as', os.environ['ERP_PASSWORD'], file=sys.stderr if request['output'] == 'stdout' else sys.stdout)
mark = f"{os.path.dirname(os.path.abspath(__file__))}/{request['queryId']}"
first = not os.path.exists(mark)
open(mark, 'a').close()
if first and 'stubborn' in query:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0: time.sleep(600)
start, count = int(query[0]), int(query[1])
if request['output'] == 'files':
    for part in range(4):
        with open(f"{request['out']}/part-{part}.json", 'w') as out:
            for n in range(start + part, start + count, 4): out.write(json.dumps({'note': f'note {n}', 'id': n}) + '\\n')
    open(request['done'], 'w').write(json.dumps({'rows': count}))
else:
    with open(request['out'], 'w') as out:
        if request['output'] == 'stdout': out.write('note,id\\n')
        for n in range(start, start + count):
            out.write(f'note {n},{n}\\n' if request['output'] == 'stdout' else f'{n},note {n}\\n')
        out.flush()
        if first and ('stubborn' in query or 'hang' in query): time.sleep(600)
print('bye', file=sys.stderr)
if 'refuse' in query: sys.exit(78)
if 'flaky' in query and first: sys.exit(75)
`;

let destination: TestPostgres;
let temporal: TestTemporal;
const cleanups: (() => Promise<void>)[] = [];

interface Scene {
  readonly url: string;
  readonly workers: TestWorkers;
  /** Of longhaul.yaml and of the program, which leaves a file there for each query that it was asked for. */
  readonly folder: string;
  readonly tmpDir: string;
}

let made = 0;

async function scene(options: { shutdownGrace?: string; stopGrace?: string; program?: string } = {}): Promise<Scene> {
  const url = await destination.createDatabase(`command_${++made}`);
  await runSql(url, 'CREATE SCHEMA dw; CREATE TABLE dw.orders (id bigint PRIMARY KEY, note text)');
  const tmpDir = await mkdtemp(join(tmpdir(), 'longhaul-command-e2e-'));
  const { stopGrace = '1s', shutdownGrace = '10s', program = 'python3' } = options;
  const common = `type: command, run: [${program}, extract.py], tmpDir: ${tmpDir}, stopGrace: ${stopGrace}, env: {ERP_PASSWORD: ${CANARY}, MARK: ${tmpDir}}`;
  const workers = await testWorkers({
    ...{ temporal: temporal.address, taskQueue: temporal.unique('command'), sourceUrl: url, destinationUrl: url },
    shutdownGrace,
    connections: [
      `pipe: {${common}}`,
      `files: {${common}, output: files, format: ndjson}`,
      `stdout: {${common}, output: stdout, csv: {header: true}}`,
    ],
  });
  const folder = dirname(workers.config);
  await writeFile(join(folder, 'extract.py'), PROGRAM);
  cleanups.push(async () => {
    await workers.stop();
    await rm(tmpDir, { recursive: true, force: true });
  });
  return { url, workers, folder, tmpDir };
}

/** Four queries, the last with something to happen on the way. */
function job(source: string, word = '', extra: object = {}): Record<string, unknown> {
  const size = ROWS / 4;
  const queries = [0, 1, 2, 3].map((n) => ({
    id: `q${n}`,
    sql: `${n * size} ${size} ${n === 3 ? word : ''} ${CANARY}`,
  }));
  return {
    ...{ name: 'nightly', source, destination: 'warehouse', parallelism: 2 },
    retry: { initialInterval: '1s', heartbeatTimeout: '5s', maximumAttempts: 3 },
    tables: [{ table: 'orders', to: 'dw.orders', queries }],
    ...extra,
  };
}

function start({ workers: { taskQueue } }: Scene, input: object): Promise<WorkflowHandle> {
  return temporal.client.workflow.start('copyJob', { taskQueue, workflowId: temporal.unique('job'), args: [input] });
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never came: ${what}`);
    await sleep(50);
  }
}

/** No process of any program is there, and nothing in the temporary folder but signs of living workers. */
async function expectNothingLeft({ tmpDir }: Scene): Promise<void> {
  await until('the end of all programs', () => processesWith(`=${tmpDir}`).length === 0);
  await until('the end of all folders', async () => (await readdir(tmpDir)).every((name) => name === '.workers'));
}

async function expectCopied({ url }: Scene): Promise<void> {
  const sql = `SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, count(*) FILTER (WHERE note = 'note ' || id)::int AS right, max(id)::int AS last FROM dw.orders`;
  expect(await runSql(url, sql)).toEqual([{ rows: ROWS, ids: ROWS, right: ROWS, last: ROWS - 1 }]);
}

async function failureOf(handle: WorkflowHandle): Promise<string> {
  const error: unknown = await handle.result().then(
    () => new Error('the job is green'),
    (failure: unknown) => failure,
  );
  return (error as { cause?: Error }).cause?.message ?? String(error);
}

const retriesOf = ({ tables }: JobReport): number => tables.reduce((sum, { retries }) => sum + retries, 0);

beforeAll(async () => {
  [destination, temporal] = [await startTestPostgres('destination'), await startTestTemporal()];
});

afterAll(async () => {
  await Promise.all(cleanups.map((cleanup) => cleanup()));
  await destination.stop();
  await temporal.stop();
});

describe('a program as the source of a job', () => {
  it.each(['pipe', 'files', 'stdout'])('arrives once, though it fails for a time: %s', async (output) => {
    const s = await scene();
    await s.workers.start();
    const report = (await (await start(s, job(output, 'flaky'))).result()) as JobReport;
    expect(report).toMatchObject({ phase: 'complete', rows: ROWS });
    expect(retriesOf(report)).toBe(1);
    await expectCopied(s);
    await expectNothingLeft(s);
  });

  it('parks a query that it refuses, with its last words, and copies the others', async () => {
    const s = await scene();
    await s.workers.start();
    const handle = await start(s, job('pipe', 'refuse', { onFailure: 'fail' }));
    const failure = await failureOf(handle);
    expect(failure).toContain('SourceRefused');
    expect(failure).toContain('Query q3 of orders: the program of connection "pipe" exited with code 78 (EX_CONFIG');
    expect(failure).toMatch(/The last it wrote to standard error:\s+bye/);
    const { tables } = await handle.query<JobProgress>('progress');
    expect(tables[0]).toMatchObject({ committed: 3, retries: 0 });
    const log = await s.workers.log();
    expect(log).toContain('connected to the library as [secret]');
    for (const seen of [failure, log]) expect(seen).not.toContain(CANARY);
    await expectNothingLeft(s);
  });

  it('is ended when no byte comes for the stall time', async () => {
    const s = await scene();
    await s.workers.start();
    const retry = { initialInterval: '1s', maximumAttempts: 3, stallTimeout: '3s' };
    const report = (await (await start(s, job('pipe', 'hang', { retry }))).result()) as JobReport;
    expect(retriesOf(report)).toBe(1);
    expect(await s.workers.log()).toContain('No byte moved after');
    await expectCopied(s);
    await expectNothingLeft(s);
  });

  it('is ended with all of its group by a cancellation', async () => {
    const s = await scene();
    await s.workers.start();
    const handle = await start(s, job('pipe', 'stubborn'));
    await until('the middle of the copy', () => existsSync(join(s.folder, 'q3')));
    await handle.cancel();
    await expect(handle.result()).rejects.toThrow();
    await expectNothingLeft(s);
    expect(await runSql(s.url, 'SELECT * FROM dw.orders')).toEqual([]);
  });

  it('is ended when its worker is told to, which hands its attempt back in time', async () => {
    const s = await scene({ shutdownGrace: '5s', stopGrace: '2s' });
    const first = await s.workers.start();
    const retry = { maximumAttempts: 1, maximumCrashes: 1, heartbeatTimeout: '60s' };
    const handle = await start(s, job('pipe', 'stubborn', { retry }));
    await until('the middle of the copy', () => existsSync(join(s.folder, 'q3')));
    expect(await first.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    await expectNothingLeft(s);
    await s.workers.start();
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
    await expectCopied(s);
  });

  it('is ended by the reaper when its worker has no time for it', async () => {
    const s = await scene({ shutdownGrace: '1s', stopGrace: '6s' });
    const first = await s.workers.start();
    const handle = await start(s, job('pipe', 'stubborn'));
    await until('the middle of the copy', () => existsSync(join(s.folder, 'q3')));
    await first.stop('SIGTERM');
    await expectNothingLeft(s);
    await s.workers.start();
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
  });

  it('is ended with its folder when its worker is killed', async () => {
    const s = await scene();
    const first = await s.workers.start();
    const handle = await start(s, job('pipe', 'stubborn'));
    await until('the middle of the copy', () => existsSync(join(s.folder, 'q3')));
    expect(processesWith(`=${s.tmpDir}`).length).toBeGreaterThan(1);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    await until('the end of all programs', () => processesWith(`=${s.tmpDir}`).length === 0);
    await until('the end of all folders', async () => (await readdir(s.tmpDir)).every((name) => name === '.workers'));
    expect(await readdir(join(s.tmpDir, '.workers'))).toEqual([]);
    await s.workers.start();
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
    await expectCopied(s);
    await expectNothingLeft(s);
  });

  it('is checked before anything is touched', async () => {
    const s = await scene();
    await s.workers.start();
    const wrong = job('pipe', '', { tables: ['sales.*'] });
    expect(await failureOf(await start(s, wrong))).toContain('connection "pipe" is a program: it has no tables');
    const named = job('pipe', '', { tables: [{ from: 'sales.orders', to: 'dw.orders' }] });
    expect(await failureOf(await start(s, named))).toContain('tables[0]: connection "pipe" is a program');
    const other = await scene({ program: 'pythonn3' });
    await other.workers.start();
    const failure = await failureOf(await start(other, job('pipe')));
    expect(failure).toContain(
      'source: the program of connection "pipe" can not be started: there is no program "pythonn3"',
    );
    expect(existsSync(join(s.folder, 'q0'))).toBe(false);
  });
});
