import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeActivities, failureOf, Gate, rowsOf, type FakeJob } from '../support/fake-activities.js';
import { until, WorkflowTests } from '../support/workflows.js';

/** The program as a person runs it, from dist/, against the real workflows on a real Temporal, with faked activities. */

let tests: WorkflowTests;
let folder: string;
beforeAll(async () => {
  tests = await WorkflowTests.start();
  folder = await mkdtemp(join(tmpdir(), 'longhaul-cli-'));
});
afterAll(async () => {
  await tests.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ran>;
  /** What it has said so far. */
  readonly said: () => { out: string; err: string };
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [resolve('bin/longhaul.js'), ...args], {
    cwd: folder,
    env: { ...process.env, TEMPORAL_ADDRESS: tests.temporal.address, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text));
  const ended = new Promise<Ran>((done) => child.on('close', (code) => done({ code, ...said })));
  return { process: child, ended, said: () => said };
}

const longhaul = (...args: string[]): Promise<Ran> => start(args).ended;

/** A job file whose name no other test uses. */
async function jobFile(): Promise<{ name: string; file: string }> {
  const name = tests.temporal.unique('cli');
  const file = join(folder, `${name}.yaml`);
  await writeFile(file, `name: ${name}\nsource: shop\ndestination: warehouse\ntables: [public.a, public.b]\n`);
  return { name, file };
}

const refuse = (): Promise<never> => Promise.reject(failureOf('DataRejected', 'A value of column "note" was refused.'));

const TWO: FakeJob = {
  tables: [
    { table: 'public.a', partitions: 3 },
    { table: 'public.b', partitions: 2 },
  ],
};

test('run follows a job to its end: progress on standard error, the result alone on standard output', async () => {
  await tests.during(new FakeActivities(TWO).activities, async (queue) => {
    const { name, file } = await jobFile();
    // CI is set as build servers set it: it must not bring colors into a pipe.
    const { code, out, err } = await start(['run', file, '--task-queue', queue], { CI: 'true' }).ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^table +state +rows +bytes +partitions +retries +time +rows\/s$/m);
    expect(out).toMatch(/^public\.a +✔ published +6 /m);
    expect(out).toContain(`✔ complete  ${name}: 9 rows in 2 tables`);
    expect(err).toContain(`${name}, run `);
    expect(out + err).not.toContain('\u001b');
    const again = await longhaul('watch', name, '--json');
    expect(again.code).toBe(0);
    expect(JSON.parse(again.out)).toMatchObject({ workflowId: name, outcome: 'complete', exitCode: 0, rows: 9 });
  });
});

test('what run --print writes is what the workflow takes, from the Temporal CLI alone', async () => {
  const fake = new FakeActivities(TWO);
  await tests.during(fake.activities, async (queue) => {
    const { name, file } = await jobFile();
    const printed = await longhaul('run', file, '--print');
    expect(printed.err).toBe('');
    const input = join(folder, `${name}.json`);
    await writeFile(input, printed.out);
    const where = ['--address', tests.temporal.address, '--workflow-id', name];
    const started = await start(
      ['temporal', 'workflow', 'start', '--type', 'copyJob', '--task-queue', queue, '--input-file', input, ...where],
      { LONGHAUL_TEMPORAL_CLI: tests.temporal.cli },
    ).ended;
    expect(started.code).toBe(0);
    expect((await longhaul('watch', name)).code).toBe(0);
    expect(fake.opened).toMatchObject([{ workflowId: name }]);
  });
});

test('a wrong job is refused with every problem and exit code 2, without Temporal', async () => {
  const file = join(folder, 'wrong.yaml');
  await writeFile(file, 'name: nightly\nsorce: shop\ntables: []\n');
  const { code, out, err } = await start(['run', file], { TEMPORAL_ADDRESS: '127.0.0.1:1' }).ended;
  expect([code, out]).toEqual([2, '']);
  expect(err).toMatch(/sorce.*did you mean "source"/);
  expect(err).toMatch(/destination.*missing/);
  expect(err).toMatch(/tables.*empty list/);
  expect(err).not.toMatch(/^ +at /m);
});

test('Temporal out of reach is one sentence and what to do, without a stack', async () => {
  const { code, out, err } = await start(['ls'], { TEMPORAL_ADDRESS: '127.0.0.1:1' }).ended;
  expect([code, out]).toEqual([1, '']);
  expect(err).toMatch(/^✖ error {2}Temporal does not answer at 127\.0\.0\.1:1\.\nStart one here: {2}.*longhaul dev\n/);
  expect(err).not.toMatch(/^ +at /m);
});

test('parked partitions: exit code 3 and the command that retries them; then retry and watch end well', async () => {
  let broken = true;
  const copy = (ordinal: number) => (broken && ordinal === 1 ? refuse() : Promise.resolve(undefined));
  const fake = new FakeActivities({ ...TWO, onFailure: 'wait', tables: [{ table: 'public.a', partitions: 3, copy }] });
  await tests.during(fake.activities, async (queue) => {
    const { name, file } = await jobFile();
    const waiting = await longhaul('run', file, '--task-queue', queue);
    expect(waiting.code).toBe(3);
    expect(waiting.out).toMatch(/public\.a 2\/3: DataRejected: .*was refused/);
    expect(waiting.err).toContain(`longhaul retry ${name}\n`);
    const unknown = await longhaul('retry', name, 'public.a/3');
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain('Parked in public.a: 2/3');
    broken = false;
    const retried = await longhaul('retry', name, 'public.a/2');
    expect(retried.out).toBe(`1 partition of ${name} will be tried again.\n`);
    expect((await longhaul('watch', name)).code).toBe(0);
  });
});

test('a failed job prints its message and how to resume; its exit code is 1', async () => {
  const tables = [
    { table: 'public.a', partitions: 3, copy: (n: number) => (n === 1 ? refuse() : Promise.resolve(undefined)) },
  ];
  await tests.during(new FakeActivities({ tables, onFailure: 'fail' }).activities, async (queue) => {
    const { file } = await jobFile();
    const { code, out, err } = await longhaul('run', file, '--task-queue', queue);
    expect(code).toBe(1);
    expect(out).toMatch(/^✖ failed /m);
    expect(err).toMatch(/1 of 1 table failed/);
    expect(err).toMatch(/longhaul run .*yaml --resume [0-9a-f-]{36}$/m);
    expect(err).not.toMatch(/^ +at /m);
  });
});

test("a job that openRun refuses exits with 2 and the server's own problems", async () => {
  const open = (): Promise<never> => Promise.reject(failureOf('JobInvalid', 'The job has 1 problem.\nsource: unknown'));
  await tests.during(new FakeActivities({ ...TWO, open }).activities, async (queue) => {
    const { file } = await jobFile();
    const { code, err } = await longhaul('run', file, '--task-queue', queue);
    expect(code).toBe(2);
    expect(err).toContain('The job has 1 problem.\nsource: unknown');
  });
});

test('Ctrl-C ends the following and not the copy; a second start is refused; status, parallelism and cancel work', async () => {
  const gate = new Gate();
  const copy = async () => (await gate.pass(), undefined);
  const fake = new FakeActivities({ tables: [{ table: 'public.a', partitions: 6, copy }] });
  await tests.during(fake.activities, async (queue) => {
    const { name, file } = await jobFile();
    const running = start(['run', file, '--task-queue', queue]);
    await until(() => running.said().err.includes('copying  public.a'));
    running.process.kill('SIGINT');
    const { code, err } = await running.ended;
    expect(code).toBe(130);
    expect(err).toContain(`the copy goes on.\n`);
    expect(err).toContain(`longhaul watch ${name}`);

    const second = await longhaul('run', file, '--task-queue', queue);
    expect([second.code, second.out]).toEqual([1, '']);
    expect(second.err).toContain('is running already; nothing was started.');

    expect((await longhaul('set-parallelism', name, '2')).out).toContain('copies 2 partitions at the same time');
    const status = JSON.parse((await longhaul('status', name, '--json')).out) as unknown;
    expect(status).toMatchObject({ workflowId: name, status: 'running', phase: 'copying', parallelism: 2 });

    expect((await longhaul('cancel', name)).code).toBe(0);
    gate.open();
    const ended = await longhaul('watch', name);
    expect(ended.code).toBe(1);
    expect(ended.out).toContain(`■ cancelled  ${name}`);
    const late = await longhaul('cancel', name);
    expect(late.err).toContain('does not run any more (cancelled)');
  });
});

test('without a worker, run says so and how to start one, and goes on when it is there', async () => {
  const queue = tests.temporal.unique('lonely');
  const { file } = await jobFile();
  const running = start(['run', file, '--task-queue', queue]);
  await until(() => running.said().err.includes(`No worker polls task queue "${queue}"`));
  expect(running.said().err).toMatch(/Start one where longhaul\.yaml is: {2}.*longhaul worker/);
  const worker = await tests.worker(queue, new FakeActivities(TWO).activities);
  const { code, err } = await worker.runUntil(running.ended);
  expect(code).toBe(0);
  expect(err).toContain('A worker answers now.');
});

test('check prints problems and warnings apart and exits with 2; without problems with 0', async () => {
  const fake = new FakeActivities(TWO).activities;
  const problems = [{ path: 'tables[0]', message: 'there is no table public.a', fix: 'did you mean public.aa?' }];
  const warnings = [{ path: 'tables[1]', message: 'has no primary key' }];
  const report = { problems, warnings, more: { problems: 0, warnings: 7 }, tables: [] };
  const { file } = await jobFile();
  await tests.during({ ...fake, checkJob: () => Promise.resolve(report) }, async (queue) => {
    const { code, out } = await longhaul('check', file, '--task-queue', queue);
    expect(code).toBe(2);
    expect(out).toContain(
      '✖ problem  tables[0]\n           there is no table public.a\n           → did you mean public.aa?\n',
    );
    expect(out).toContain('! warning  tables[1]\n           has no primary key\n… and 7 more warnings\n');
    expect(out).toContain(': 1 problem, 8 warnings. Nothing was touched.\n');
    const json = await longhaul('check', file, '--json', '--task-queue', queue);
    expect(JSON.parse(json.out)).toEqual(report);
  });
  await tests.during(fake, async (queue) => {
    expect((await longhaul('check', file, '--task-queue', queue)).code).toBe(0);
  });
});

test('ls lists what Temporal and the ledgers know; an unknown job or run is a sentence', async () => {
  const table = {
    table: 'public.a',
    to: 'public.a',
    state: 'suspended',
    committed: 1,
    partitions: 3,
    rows: 5,
  } as const;
  const run = {
    ...{
      run: '01a2051a-0000-7000-8000-000000000001',
      job: tests.temporal.unique('gone'),
      startedAt: new Date().toISOString(),
      rows: 5,
    },
    ...{ changedAt: new Date().toISOString(), states: { suspended: 1 }, stagingBytes: 8192, tables: [table] },
  };
  const ledgers = [
    { destination: 'warehouse', runs: [run], more: false, orphans: [] },
    { destination: 'away', runs: [], more: false, orphans: [], problem: 'it does not answer' },
  ];
  await tests.during(new FakeActivities({ ...TWO, ledgers }).activities, async (queue) => {
    const { file, name } = await jobFile();
    await longhaul('run', file, '--task-queue', queue);
    const listed = JSON.parse((await longhaul('ls', '--json', '--task-queue', queue)).out) as object[];
    expect(listed).toContainEqual(
      expect.objectContaining({ run: '01a2051a-0000-7000-8000-000000000001', workflow: 'gone' }),
    );
    expect(listed).toContainEqual(expect.objectContaining({ job: name, workflow: 'completed' }));
    const { out, err } = await longhaul('ls', '01a2051a-0000-7000-8000-000000000001', '--task-queue', queue);
    expect(out).toMatch(/^01a2051a-\S+ +gone-\S+ +\S+ \S+ +gone +1 suspended +5 +8\.0 KB$/m);
    expect(out).toMatch(/^public\.a +public\.a +suspended +1\/3 +5$/m);
    expect(err).toContain('! warning  ledger of away: it does not answer');
    expect(err).toMatch(/longhaul run JOB\.yaml --resume 01a2051a-\S+\n.*longhaul clean --run 01a2051a/);
  });
  await tests.during(new FakeActivities(TWO).activities, async (queue) => {
    const unknown = await longhaul('ls', 'run-2', '--task-queue', queue);
    expect([unknown.code, unknown.out]).toEqual([2, '']);
    expect(unknown.err).toContain('knows run "run-2"');
  });
  const { code, err } = await longhaul('status', 'no-such-job');
  expect(code).toBe(2);
  expect(err).toMatch(/^✖ error {2}There is no job "no-such-job"/);
});

test('init writes three files and two schemas, keeps files that are there, and what it writes is a job that run understands', async () => {
  const target = join(folder, 'fresh');
  expect((await longhaul('init', target)).out.match(/✔ written/g)).toHaveLength(5);
  expect((await longhaul('init', target)).out.match(/· kept/g)).toHaveLength(3);
  expect((await longhaul('schema')).out).toBe(readFileSync(join(target, 'job.schema.json'), 'utf8'));
  expect((await longhaul('schema', '--connections')).out).toBe(
    readFileSync(join(target, 'longhaul.schema.json'), 'utf8'),
  );
  const printed = await longhaul('run', join(target, 'job.yaml'), '--print');
  expect(JSON.parse(printed.out)).toMatchObject({ name: 'first-copy' });
});

test('rows of every partition are in the result', async () => {
  const partitions = 40;
  await tests.during(new FakeActivities({ tables: [{ table: 'public.a', partitions }] }).activities, async (queue) => {
    const { file } = await jobFile();
    const { out } = await longhaul('run', file, '--json', '--task-queue', queue);
    const rows = Array.from({ length: partitions }, (_, n) => rowsOf(n)).reduce((sum, n) => sum + n, 0);
    expect(JSON.parse(out)).toMatchObject({ rows, tables: [{ committed: partitions, phase: 'published' }] });
  });
});
