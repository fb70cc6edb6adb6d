import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createActivities } from '../../activities/index.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { Connector, Log, RowStream } from '../../src/connectors/types.js';
import { LonghaulError } from '../../src/core/errors.js';
import type { RetrySpec } from '../../src/core/model.js';
import { failureInterceptor } from '../../src/worker/activity-interceptor.js';
import { tableProgress } from '../../workflows/messages.js';
import { Gate } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests } from '../support/workflows.js';

/** Real activities over the in-memory connector, with the sources' streams under the test's control. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

const ROWS = 200;
const KEY = 'key-value-';
const JOB = { name: 'copy', source: 'from', destination: 'to', parallelism: 2, tables: ['s.a'] };

type Before = (batch: number, signal: AbortSignal) => Promise<void>;

interface World {
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly lines: Record<string, unknown>[];
  readonly log: Log;
  readonly target: () => unknown[][];
  /** Sessions that are open at either server. */
  readonly sessions: () => string[];
}

/** Before a stream is opened, as a batch's number. */
const OPENING = -1;

/** `before` is awaited before each stream is opened and before each batch that a source sends. */
function world(before: Before = () => Promise.resolve()): World {
  const name = tests.temporal.unique('server');
  const [source, destination] = [memoryServer(`${name}-from`), memoryServer(`${name}-to`)];
  const column = { type: 'text', definition: 'text', notNull: true, generated: false };
  source.tables.set('s.a', {
    columns: [{ name: 'id', ...column }],
    primaryKey: ['id'],
    rows: Array.from({ length: ROWS }, (_, i) => [`${KEY}${i}`]),
  });
  const lines: Record<string, unknown>[] = [];
  const line = (fields: Record<string, unknown>, message: string): void => void lines.push({ ...fields, message });
  const from = createMemoryConnector({ name: 'from', server: `${name}-from` });
  return {
    connectors: new Map([
      ['from', paced(from, before)],
      ['to', createMemoryConnector({ name: 'to', server: `${name}-to` })],
    ]),
    lines,
    log: { debug: line, info: line, warn: line },
    target: () => destination.tables.get('s.a')?.rows ?? [],
    sessions: () => [...source.sessions, ...destination.sessions],
  };
}

function paced(connector: Connector, before: Before): Connector {
  return {
    ...connector,
    openSource: async (options) => {
      const session = await connector.openSource(options);
      const stream = session.stream.bind(session);
      session.stream = async (record, partition) => {
        await before(OPENING, options.signal);
        return pacedStream((await stream(record, partition)) as RowStream, (batch) => before(batch, options.signal));
      };
      return session;
    },
  };
}

function pacedStream(stream: RowStream, before: (batch: number) => Promise<void>): RowStream {
  async function* batches() {
    let batch = 0;
    for await (const rows of stream) {
      await before(batch);
      batch += 1;
      yield rows;
    }
  }
  return { kind: 'rows', format: 'rows', columns: stream.columns, rows: stream.rows, [Symbol.asyncIterator]: batches };
}

/** Waits as a driver does whose statement was cancelled: it makes an error of its own of the abort. */
function driverWait(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(new Error('57014: canceling statement due to user request'));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}

function during<T>({ connectors, log }: World, body: (queue: string) => Promise<T>): Promise<T> {
  return tests.during(createActivities({ connectors, log }), body, { activity: [failureInterceptor(log)] });
}

function job(retry: Partial<Record<keyof RetrySpec, string | number>> = {}, more: object = {}): object {
  return { ...JOB, ...more, retry: { maximumAttempts: 1, initialInterval: '1s', heartbeatTimeout: '5s', ...retry } };
}

test('a job over real activities copies each row once, and neither history nor log holds a key value', async () => {
  const here = world();
  await during(here, async (queue) => {
    const handle = await tests.startJob(queue, job());
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: ROWS });
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/s.a`);
    const text = JSON.stringify([await handle.fetchHistory(), await child.fetchHistory()], readable);
    expect(text.includes('s.a 1/4')).toBe(true);
    expect(text.includes(KEY)).toBe(false);
  });
  expect(new Set(here.target().map(([id]) => id)).size).toBe(ROWS);
  expect(here.target()).toHaveLength(ROWS);
  expect(JSON.stringify(here.lines)).not.toContain(KEY);
  expect(here.lines).toContainEqual(expect.objectContaining({ table: 's.a', partition: 4, attempt: 1, rows: 50 }));
  expect(here.sessions()).toEqual([]);
});

/** For JSON.stringify: the base64 of payloads as text. */
function readable(key: string, value: unknown): unknown {
  return key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value;
}

test('shutdown hands running partitions back at once: the next worker copies them, and no attempt is used up', async () => {
  let stuck = true;
  let waiting = 0;
  const here = world(async (_, signal) => {
    waiting += 1;
    if (stuck) await driverWait(signal);
  });
  const activities = createActivities(here);
  const interceptors = { activity: [failureInterceptor(here.log)] };
  const queue = tests.temporal.unique('queue');
  const first = await tests.worker(queue, activities, interceptors);
  const handle = await first.runUntil(async () => {
    const started = await tests.startJob(queue, job());
    await until(() => waiting === 2);
    return started;
  });
  stuck = false;
  expect(here.sessions()).toEqual([]);
  const second = await tests.worker(queue, activities, interceptors);
  const report = await second.runUntil(handle.result());
  expect(report).toMatchObject({ phase: 'complete', rows: ROWS });
  expect(report.tables[0]).toMatchObject({ retries: 2 });
});

test('a pause hands the partition back: it is scheduled anew, and no attempt is used up', async () => {
  let stuck = true;
  let waiting = 0;
  const here = world(async (_, signal) => {
    waiting += 1;
    if (stuck) await driverWait(signal);
  });
  await during(here, async (queue) => {
    const handle = await tests.startJob(queue, job({}, { parallelism: 1 }));
    await until(() => waiting === 1);
    stuck = false;
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/s.a`);
    const { raw } = await child.describe();
    const { activityId } = raw.pendingActivities![0]!;
    const { cli, address } = tests.temporal;
    const args = ['activity', 'pause', '--address', address, '--workflow-id', child.workflowId];
    await promisify(execFile)(cli, [...args, '--activity-id', activityId!]);
    const report = await handle.result();
    expect(report).toMatchObject({ phase: 'complete', rows: ROWS });
    expect(report.tables[0]).toMatchObject({ retries: 1 });
  });
});

test('a cancellation ends attempts as cancelled, though the driver calls it an error, and rolls back', async () => {
  let waiting = 0;
  const here = world(async (_, signal) => {
    waiting += 1;
    await driverWait(signal);
  });
  await during(here, async (queue) => {
    const handle = await tests.startJob(queue, job({ maximumAttempts: 5 }));
    await until(() => waiting === 2);
    await handle.cancel();
    await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  });
  expect(here.lines.filter(({ message }) => message === 'Activity cancelled')).toHaveLength(2);
  expect(here.lines.filter(({ message }) => message === 'Activity failed')).toEqual([]);
  expect(here.sessions()).toEqual([]);
  expect(here.target()).toEqual([]);
});

test('an attempt whose bytes stop moving ends as Stalled, and is retried', async () => {
  let stalls = 0;
  const here = world(async (_, signal) => {
    if (stalls > 0) return;
    stalls += 1;
    await driverWait(signal);
  });
  await during(here, async (queue) => {
    const retry = { maximumAttempts: 2, firstByteTimeout: '1s', stallTimeout: '1s' };
    const report = await (await tests.startJob(queue, job(retry))).result();
    expect(report).toMatchObject({ phase: 'complete', rows: ROWS });
    expect(report.tables[0]).toMatchObject({ retries: 1 });
  });
  expect(here.lines.filter(({ code }) => code === 'Stalled')).toHaveLength(1);
});

test('an unknown error is retried, parks, and shows its message without a long stack', async () => {
  const here = world(() => Promise.reject(new TypeError('x is not a function')));
  await during(here, async (queue) => {
    const failure = await failureOfWorkflow(await tests.startJob(queue, job({}, { onFailure: 'fail' })));
    expect(failure.message).toContain('1/4, 2/4, 3/4, 4/4: Unknown: TypeError: x is not a function');
  });
});

test('an error with its own code and advice is shown as such', async () => {
  const rejected = new LonghaulError('DataRejected', 'Column id refuses a value.', { next: 'Correct the row.' });
  const here = world(() => Promise.reject(rejected));
  await during(here, async (queue) => {
    const failure = await failureOfWorkflow(await tests.startJob(queue, job({}, { onFailure: 'fail' })));
    expect(failure.message).toContain('DataRejected: Column id refuses a value. Correct the row.');
  });
});

test('heartbeats show rows in flight', async () => {
  const gate = new Gate();
  const here = world((batch) => (batch < 1 ? Promise.resolve() : gate.pass()));
  await during(here, async (queue) => {
    const bySize = { tables: [{ from: 's.a', partition: { count: 1 } }] };
    const handle = await tests.startJob(queue, job({}, bySize));
    await until(() => gate.waiting === 1);
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/s.a`);
    await until(async () => {
      const { raw } = await child.describe();
      const data = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0]?.data;
      return data != null && (JSON.parse(Buffer.from(data).toString()) as { rows: number }).rows > 0;
    });
    gate.open();
    await handle.result();
    expect(await child.query(tableProgress)).toMatchObject({ rows: ROWS });
  });
});

test('all problems of a job come at once, with their paths', async () => {
  const here = world();
  await during(here, async (queue) => {
    const wrong = { ...JOB, source: 'fron', destination: 'too', parallelism: 0 };
    const failure = await failureOfWorkflow(await tests.startJob(queue, wrong));
    expect(failure.type).toBe('JobInvalid');
    expect(failure.message).toContain('3 problems; nothing was touched');
    expect(failure.message).toContain('parallelism');
    expect(failure.message).toContain('source: there is no connection "fron" (did you mean "from"?)');
    expect(failure.message).toContain('destination: there is no connection "too" (did you mean "to"?)');
    const missing = { ...JOB, tables: ['s.a', 's.gone', 's.lost'] };
    const second = await failureOfWorkflow(await tests.startJob(queue, missing));
    expect(second.message).toContain('tables[1].from: there is no table s.gone');
    expect(second.message).toContain('tables[2].from: there is no table s.lost');
  });
});

test('a failed job is resumed under its run: what was committed stays, and the rest is copied', async () => {
  let broken = true;
  let batches = 0;
  const here = world(async (batch) => {
    await sleep(1);
    if (batch !== OPENING) batches += 1;
    if (broken && batches > 1) throw new LonghaulError('DataRejected', 'no');
  });
  await during(here, async (queue) => {
    const first = await tests.startJob(queue, job({}, { parallelism: 1, onFailure: 'fail' }));
    expect((await failureOfWorkflow(first)).message).toContain('3 of 4 partitions are parked');
    broken = false;
    batches = 0;
    const resume = first.firstExecutionRunId;
    const again = await tests.startJob(queue, job({}, { resume }));
    expect(await again.result()).toMatchObject({ phase: 'complete', run: resume, rows: ROWS });
  });
  expect(batches).toBe(3);
});
