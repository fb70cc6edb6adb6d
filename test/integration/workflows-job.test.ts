import { ApplicationFailure, Context } from '@temporalio/activity';
import { temporal } from '@temporalio/proto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toFailure } from '../../activities/index.js';
import { jobInvalid } from '../../src/core/errors.js';
import { jobProgress, plan, retry, setParallelism, tableProgress, tableReport } from '../../workflows/messages.js';
import type { JobReport } from '../../workflows/messages.js';
import { FakeActivities, failureOf, Gate, rowsOf, type FakeJob } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests, type JobHandle } from '../support/workflows.js';

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

/** Runs a faked job to its end, or until the body returns. */
async function during<T>(
  job: FakeJob,
  body: (handle: JobHandle, fake: FakeActivities) => Promise<T>,
  input: unknown = {},
) {
  const fake = new FakeActivities(job);
  const result = await tests.during(fake.activities, async (queue) => body(await tests.startJob(queue, input), fake));
  return { fake, result };
}

const sum = (partitions: number): number => (partitions * (partitions + 1)) / 2;

test('tables of a job are copied, published and added up; the report says so', async () => {
  const tables = [
    { table: 'a', partitions: 6 },
    { table: 'b', partitions: 1 },
    { table: 'empty', partitions: 0 },
  ];
  const { fake, result } = await during({ tables }, async (handle) => ({
    report: await handle.result(),
    plans: await handle.query(plan),
    id: handle.workflowId,
    run: handle.firstExecutionRunId,
  }));
  const { report, plans, id, run } = result;
  expect(report).toMatchObject({
    phase: 'complete',
    run,
    rows: sum(6) + sum(1),
    bytes: 70,
  } satisfies Partial<JobReport>);
  expect(report.tables.map(({ table, phase, child }) => [table, phase, child])).toEqual(
    tables.map(({ table }) => [table, 'published', `${id}/${table}`]),
  );
  expect(plans).toMatchObject([{ table: 'a', partitions: 6, reason: 'as faked' }, { table: 'b' }, { table: 'empty' }]);
  expect(fake.opened).toEqual([{ run, workflowId: id }]);
  expect(fake.closed).toEqual([]);
});

test('a table whose publication the destination has lost in a failover is copied on and published again', async () => {
  const tables = [
    { table: 'a', partitions: 4, fallBack: [1, 3] },
    { table: 'b', partitions: 2 },
  ];
  const { fake, result } = await during({ tables }, (handle) => handle.result());
  expect(result).toMatchObject({ phase: 'complete', rows: sum(4) + sum(2) });
  expect(fake.done).toEqual(new Set(['a', 'b']));
  expect(fake.callsOf('a')).toEqual([1, 2, 1, 2]);
  expect(fake.callsOf('b')).toEqual([1, 1]);
});

test('the parallelism of the job is never exceeded and never left idle, over tables of unequal length', async () => {
  const gate = new Gate();
  const sizes = { a: 3, b: 30, c: 7, d: 1, e: 12 };
  const tables = Object.entries(sizes).map(([table, partitions]) => ({
    table,
    partitions,
    copy: () => gate.pass().then(() => undefined),
  }));
  const total = Object.values(sizes).reduce((a, b) => a + b, 0);
  const { fake } = await during({ tables, parallelism: 6 }, async (handle, { calls }) => {
    let done = 0;
    // One at a time: after each end the window fills again, whichever table has work left.
    while (done < total) {
      await until(() => gate.waiting === Math.min(6, total - done));
      gate.one();
      done += 1;
    }
    expect(calls.size).toBe(total);
    await handle.result();
  });
  expect(fake.mostRunning).toBe(6);
});

test('the parallelism can be changed while the job runs; a wrong number is refused', async () => {
  const gate = new Gate();
  const tables = ['a', 'b'].map((table) => ({ table, partitions: 60, copy: () => gate.pass().then(() => undefined) }));
  await during({ tables, parallelism: 2 }, async (handle, fake) => {
    await until(() => fake.running === 2);
    await expect(handle.executeUpdate(setParallelism, { args: [0] })).rejects.toMatchObject({
      cause: { message: expect.stringContaining('from 1 to 1000') as string },
    });
    expect(await handle.executeUpdate(setParallelism, { args: [7] })).toEqual({ parallelism: 7 });
    await until(() => fake.running === 7);
    expect([...fake.runningOf.values()].sort()).toEqual([3, 4]);
    await handle.executeUpdate(setParallelism, { args: [1] });
    const slotsOf = async (table: string): Promise<number> =>
      (await tests.temporal.client.workflow.getHandle(`${handle.workflowId}/${table}`).query(tableProgress)).slots;
    await until(async () => (await slotsOf('a')) + (await slotsOf('b')) === 1);
    // The table that keeps the one slot may begin another partition before the other table's last one ends.
    await until(() => {
      if (fake.running > 1) gate.one();
      return fake.running === 1;
    });
    await handle.executeUpdate(setParallelism, { args: [5] });
    await until(() => fake.running === 5);
    gate.open();
    expect(await handle.result()).toMatchObject({ phase: 'complete', parallelism: 5 });
    expect(fake.mostRunning).toBe(7);
  });
});

test('one failing table does not stop the others; the failure names it and its parked partitions, and suspends the run', async () => {
  const tables = [
    { table: 'good', partitions: 5 },
    {
      table: 'bad',
      partitions: 4,
      copy: (ordinal: number) =>
        ordinal === 2 ? Promise.reject(failureOf('DataRejected', 'the value was refused')) : Promise.resolve(undefined),
    },
    { table: 'gone', partitions: 4, prepare: () => Promise.reject(failureOf('SourceChanged', 'column x is gone')) },
  ];
  const { fake, result } = await during({ tables }, async (handle) => {
    const failure = await failureOfWorkflow(handle);
    return { failure, progress: await handle.query(jobProgress), run: handle.firstExecutionRunId };
  });
  const { failure, progress, run } = result;
  expect(failure.type).toBe('JobFailed');
  expect(failure.message).toContain('2 of 3 tables failed');
  expect(failure.message).toContain('bad: 1 of 4 partitions are parked.');
  expect(failure.message).toContain('3/4: DataRejected: the value was refused');
  expect(failure.message).toContain('gone: column x is gone');
  expect(failure.message).toContain(`"resume": "${run}"`);
  expect(failure.stackTrace).toBe('');
  expect(progress.tables.map(({ phase }) => phase)).toEqual(['published', 'failed', 'failed']);
  expect(progress.tables[1]!.parked).toMatchObject([{ ordinal: 2, label: '3/4', code: 'DataRejected' }]);
  expect(fake.closed).toEqual([{ run, destination: 'to', state: 'suspended' }]);
});

test('a failure of many parked partitions stays under 4 KB and still names each of them', async () => {
  const tables = Array.from({ length: 3 }, (_, i) => ({
    table: `sales.table_${i}`,
    partitions: 25,
    copy: () => Promise.reject(failureOf('DataRejected', `a value was refused: ${'long text '.repeat(60)}`)),
  }));
  await during({ tables }, async (handle) => {
    const { message } = await failureOfWorkflow(handle);
    expect(Buffer.byteLength(message)).toBeLessThan(4_000);
    for (const label of ['1/25', '13/25', '25/25']) expect(message.split(label).length - 1).toBeGreaterThanOrEqual(3);
  });
});

test('onFailure wait: the job waits on parked partitions, and an update tries them again', async () => {
  let broken = true;
  const tables = [
    {
      table: 'a',
      partitions: 6,
      copy: (ordinal: number) =>
        broken && ordinal > 3 ? Promise.reject(failureOf('DataRejected', 'no')) : Promise.resolve(undefined),
    },
    { table: 'b', partitions: 3 },
  ];
  await during({ tables, onFailure: 'wait' }, async (handle) => {
    await until(async () => (await handle.query(jobProgress)).phase === 'waiting on parked');
    for (const request of [['b'], ['x'], ['a/1'], ['a', 'a/1/6'], [4], []])
      await expect(handle.executeUpdate(retry, { args: [{ partitions: request as string[] }] })).rejects.toThrow();
    expect(await handle.executeUpdate(retry, { args: [{ partitions: ['a/5'] }] })).toEqual({ retried: 1 });
    const parkedAgain = async (): Promise<boolean> => {
      const { phase, tables: shown } = await handle.query(jobProgress);
      return phase === 'waiting on parked' && shown[0]!.retries > 0 && shown[0]!.parked.length === 2;
    };
    await until(parkedAgain);
    broken = false;
    expect(await handle.executeUpdate(retry, { args: [{}] })).toEqual({ retried: 2 });
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: sum(6) + sum(3) });
  });
});

test('cancelling the job rolls back what is in flight and suspends the run', async () => {
  const gate = new Gate();
  const tables = ['a', 'b'].map((table) => ({ table, partitions: 9, copy: () => gate.pass().then(() => undefined) }));
  const { fake } = await during({ tables }, async (handle, { runningOf }) => {
    await until(() => (runningOf.get('a') ?? 0) + (runningOf.get('b') ?? 0) === 4);
    await handle.cancel();
    gate.open();
    const failure = await handle.result().catch((error: unknown) => error as { cause: { name: string } });
    expect(failure).toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect((await handle.query(jobProgress)).tables.map(({ phase }) => phase)).toEqual(['cancelled', 'cancelled']);
  });
  expect(fake.closed).toMatchObject([{ state: 'suspended', destination: 'to' }]);
  expect(fake.publishes.size).toBe(0);
});

test('a wrong job fails at once with all its problems, and nothing is closed since nothing was opened', async () => {
  const problems = 'The job has 2 problems; nothing was touched.\nsource: unknown connection\ntables[0].to: missing';
  const open = (): Promise<void> => Promise.reject(ApplicationFailure.nonRetryable(problems, 'JobInvalid'));
  const { fake } = await during({ tables: [], open }, async (handle) => {
    const failure = await failureOfWorkflow(handle);
    expect(failure).toMatchObject({ type: 'JobInvalid', message: problems, stackTrace: '' });
  });
  expect(fake.opened).toHaveLength(1);
  expect(fake.closed).toEqual([]);
});

test('a wrong job fails with every problem in it, however many', async () => {
  const problems = Array.from({ length: 200 }, (_, i) => ({
    path: `tables[${i}].where`,
    message: `column "created_at_${i}" does not exist in sales.orders_${i}`,
    fix: 'name a column of the table',
  }));
  const open = (): Promise<void> => Promise.reject(toFailure(jobInvalid(problems), Context.current()));
  await during({ tables: [], open }, async (handle) => {
    const { message } = await failureOfWorkflow(handle);
    for (const { path } of problems) expect(message).toContain(`${path}: `);
    expect(message).toContain('Correct the job file');
  });
});

test('a table that fails after it was published is not said to be as it was', async () => {
  const ledger: { current?: FakeActivities } = {};
  const tables = [
    { table: 'a', partitions: 2, publish: () => void ledger.current!.receipts.get('a')!.set(1, 1_000) },
    { table: 'b', partitions: 2, prepare: () => Promise.reject(failureOf('SourceChanged', 'column x is gone')) },
  ];
  await during({ tables }, async (handle, fake) => {
    ledger.current = fake;
    const { message } = await failureOfWorkflow(handle);
    expect(message).toContain('2 of 2 tables failed; 1 of these were published before that: compare with the source');
    expect(message).toContain('The targets of the others are as they were.');
  });
});

test('a report that arrives after its child has ended changes nothing', async () => {
  const gate = new Gate();
  const tables = [
    { table: 'a', partitions: 2 },
    { table: 'b', partitions: 1, copy: () => gate.pass().then(() => undefined) },
  ];
  await during({ tables }, async (handle) => {
    const shown = async () => (await handle.query(jobProgress)).tables[0];
    await until(async () => (await shown())?.phase === 'published');
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/a`);
    const from = (await child.describe()).runId;
    const progress = { ...(await shown())!, phase: 'publishing' as const, committed: 1 };
    await handle.signal(tableReport, { from, holds: 1, wants: 1, acknowledged: 1, progress });
    await handle.executeUpdate(setParallelism, { args: [3] });
    expect(await shown()).toMatchObject({ phase: 'published', committed: 2 });
    gate.open();
    expect(await handle.result()).toMatchObject({ phase: 'complete' });
  });
});

test('a bug that ends the job ends its children too', async () => {
  const gate = new Gate();
  const tables = ['a', 'b'].map((table) => ({ table, partitions: 3, copy: () => gate.pass().then(() => undefined) }));
  const { fake } = await during({ tables }, async (handle, { runningOf }) => {
    await until(() => runningOf.get('a') === 2 && runningOf.get('b') === 2);
    const child = (table: string) => tests.temporal.client.workflow.getHandle(`${handle.workflowId}/${table}`);
    const from = (await child('a').describe()).runId;
    // What no child sends: showing it throws.
    const report = { from, holds: 1, wants: 1, acknowledged: 9, progress: { table: 'a', phase: 'copying', rows: 1 } };
    await handle.signal('tableReport', report);
    await until(async () => (await fetchedOf(handle)).includes('REQUEST_CANCEL'));
    gate.open();
    expect((await failureOfWorkflow(handle)).type).toBe('TypeError');
    for (const table of ['a', 'b']) expect((await child(table).describe()).status.name).toBe('CANCELLED');
  });
  expect(fake.closed).toMatchObject([{ state: 'suspended' }]);
});

/** The types of a workflow's events, as text. */
async function fetchedOf(handle: Pick<JobHandle, 'fetchHistory'>): Promise<string> {
  const { events } = await handle.fetchHistory();
  return events!.map(({ eventType }) => temporal.api.enums.v1.EventType[eventType!]).join(' ');
}

test('a connection that is away while the run is opened is waited for', async () => {
  const open = (call: number): Promise<void> =>
    call < 2 ? Promise.reject(failureOf('ConnectionFailed', 'away')) : Promise.resolve();
  const { fake } = await during({ tables: [{ table: 'a', partitions: 1 }], open }, (handle) => handle.result());
  expect(fake.opened).toHaveLength(2);
});

test('a cron schedule is refused', async () => {
  const fake = new FakeActivities({ tables: [] });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startJob(queue, {}, { cronSchedule: '@every 1s' });
    const first = tests.temporal.client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId);
    await until(async () => (await first.describe()).status.name !== 'RUNNING');
    const { events } = await first.fetchHistory();
    // Temporal starts the next execution of a cron workflow whatever became of this one.
    const last = events!.at(-1)!;
    const { failure } = (last.workflowExecutionFailedEventAttributes ??
      last.workflowExecutionContinuedAsNewEventAttributes)!;
    expect(failure).toMatchObject({ applicationFailureInfo: { type: 'JobInvalid', nonRetryable: true } });
    expect(failure!.message).toContain('Temporal Schedule');
    await tests.temporal.client.workflow.getHandle(handle.workflowId).terminate();
  });
  expect(fake.opened).toEqual([]);
});

test('a resumed run keeps its identity, and tables that it published before are only added up', async () => {
  const tables = [
    { table: 'done', partitions: 4, committed: [0, 1, 2, 3], published: true },
    { table: 'half', partitions: 4, committed: [0, 3] },
  ];
  const resume = 'the-run-before';
  const { fake, result } = await during({ tables }, (handle) => handle.result(), { resume });
  expect(fake.opened[0]!.run).toBe(resume);
  expect(result).toMatchObject({ phase: 'complete', run: resume, rows: sum(4) * 2 });
  expect(fake.callsOf('done')).toEqual([0, 0, 0, 0]);
  expect(fake.callsOf('half')).toEqual([0, 1, 1, 0]);
});

test('after a reset the child of the earlier life ends before the table is copied again, under the same run', async () => {
  const gate = new Gate();
  const tables = [{ table: 'a', partitions: 8, copy: () => gate.pass().then(() => undefined) }];
  await during({ tables }, async (handle, fake) => {
    await until(() => fake.running === 4);
    const { events } = await handle.fetchHistory();
    const first = events!.find((event) => event.workflowTaskCompletedEventAttributes)!;
    const { workflowService } = tests.temporal.client;
    await workflowService.resetWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: handle.workflowId, runId: handle.firstExecutionRunId },
      reason: 'test',
      workflowTaskFinishEventId: first.eventId!,
      requestId: handle.workflowId,
    });
    const again = tests.temporal.client.workflow.getHandle(handle.workflowId);
    await until(() => fake.opened.length === 2);
    gate.open();
    expect(await again.result()).toMatchObject({ phase: 'complete', rows: sum(8) });
    expect(fake.opened.map(({ run }) => run)).toEqual([handle.firstExecutionRunId, handle.firstExecutionRunId]);
  });
});

test('the web UI shows summaries and a table of tables; the history carries neither rows nor keys', async () => {
  const tables = [{ table: 'public.orders', partitions: 3 }];
  await during({ tables }, async (handle) => {
    await handle.result();
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/public.orders`);
    expect(await child.describe().then((found) => found.staticSummary())).toBe('public.orders → dw.public.orders');
    const { events } = await child.fetchHistory();
    const summaries = events!.flatMap(({ userMetadata }) => {
      const data = userMetadata?.summary?.data;
      return data ? [JSON.parse(Buffer.from(data).toString()) as string] : [];
    });
    expect(summaries).toContain('public.orders 1/3');
    expect(summaries).toContain('public.orders 3/3');
    const unnamed = await Promise.all([handle, child].map((each) => activitiesWithoutSummary(each)));
    expect(unnamed).toEqual([[], []]);
    const metadata: { currentDetails?: string } = await handle.query('__temporal_workflow_metadata');
    expect(metadata.currentDetails!.replace(/\s+/g, ' ')).toContain('| public.orders | published | 3/3 | 6 | 0 |');
    expect(await child.query(tableProgress)).toMatchObject({
      phase: 'published',
      rows: rowsOf(0) + rowsOf(1) + rowsOf(2),
    });
  });
});

async function activitiesWithoutSummary(handle: Pick<JobHandle, 'fetchHistory'>): Promise<string[]> {
  const { events } = await handle.fetchHistory();
  return events!.flatMap(({ activityTaskScheduledEventAttributes: scheduled, userMetadata }) =>
    scheduled && !userMetadata?.summary ? [scheduled.activityType!.name!] : [],
  );
}
