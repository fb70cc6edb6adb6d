import { afterAll, beforeAll, expect, test } from 'vitest';
import { jobProgress, retry, tableProgress } from '../../workflows/messages.js';
import { FakeActivities, failureOf, type FakeJob } from '../support/fake-activities.js';
import { until, WorkflowTests, type JobHandle } from '../support/workflows.js';

/** Temporal ends a workflow at 51,200 events, 50 MB of history or 10,000 signals; a job may have 2,000 tables. */

const EVENTS_OF_A_TABLE = 51_200 / 2_000;
const SIGNALS_OF_A_TABLE = 10_000 / 2_000;

const TABLES = 30;

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

interface Size {
  readonly events: number;
  readonly signals: number;
  readonly largestSignal: number;
}

async function sizeOf(handle: Pick<JobHandle, 'fetchHistory'>): Promise<Size> {
  const { events } = await handle.fetchHistory();
  const payloads = events!.flatMap(({ workflowExecutionSignaledEventAttributes: signal }) =>
    signal ? [signal.input!.payloads!.reduce((sum, { data }) => sum + data!.length, 0)] : [],
  );
  return { events: events!.length, signals: payloads.length, largestSignal: Math.max(0, ...payloads) };
}

const during = (job: FakeJob, body: (handle: JobHandle) => Promise<void>): Promise<void> =>
  tests.during(new FakeActivities(job).activities, async (queue) => body(await tests.startJob(queue)));

test('2,000 small tables would fit into one history', async () => {
  const steps = [{ step: 0, label: 'primary key' }];
  const tables = Array.from({ length: TABLES }, (_, i) => ({ table: `t${i}`, partitions: 1 + (i % 4), steps }));
  await during({ tables, parallelism: 8 }, async (handle) => {
    expect(await handle.result()).toMatchObject({ phase: 'complete' });
    const { events, signals } = await sizeOf(handle);
    console.info(`${events / TABLES} events and ${signals / TABLES} signals a table`);
    expect(events / TABLES).toBeLessThan(EVENTS_OF_A_TABLE / 2);
    expect(signals / TABLES).toBeLessThan(SIGNALS_OF_A_TABLE / 2);
  });
}, 300_000);

test('a table with 100 parked partitions sends few and small reports, and all of them can be tried again', async () => {
  let broken = true;
  const copy = () => {
    if (broken) throw failureOf('DataRejected', `a value was refused: ${'long text '.repeat(60)}`);
    return undefined;
  };
  await during({ tables: [{ table: 'a', partitions: 100, copy }], onFailure: 'wait' }, async (handle) => {
    const waits = async (): Promise<boolean> => (await handle.query(jobProgress)).phase === 'waiting on parked';
    await until(waits);
    const { signals, largestSignal } = await sizeOf(handle);
    expect(signals).toBeLessThanOrEqual(4);
    expect(largestSignal).toBeLessThan(6_000);
    const [table] = (await handle.query(jobProgress)).tables;
    expect(table!.parked.map(({ ordinal }) => ordinal)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(table).toMatchObject({ parkedMore: 90 });
    await expect(handle.executeUpdate(retry, { args: [{ partitions: ['a/101'] }] })).rejects.toThrow();
    broken = false;
    const named = { partitions: ['a/4', 'a/78/100', 'a/100', 'a/100'] };
    expect(await handle.executeUpdate(retry, { args: [named] })).toEqual({ retried: 3 });
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/a`);
    await until(async () => (await child.query(tableProgress)).committed === 3);
    await until(async () => (await waits()) && (await handle.query(jobProgress)).tables[0]!.parkedMore === 87);
    expect(await handle.executeUpdate(retry, { args: [{}] })).toEqual({ retried: 97 });
    expect(await handle.result()).toMatchObject({ phase: 'complete' });
  });
});
