import { Context } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { snapshotQueue } from '../../src/core/activities.js';
import { MOST_RESTARTS } from '../../workflows/job-snapshot.js';
import { jobProgress } from '../../workflows/messages.js';
import { FakeActivities, failureOf, Gate, type FakeJob } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests, type JobHandle } from '../support/workflows.js';

/** What jobs make of snapshots that are lost: how often they start over, and how they end. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

async function during(job: FakeJob, body: (handle: JobHandle, fake: FakeActivities) => Promise<void>) {
  const fake = new FakeActivities(job);
  await tests.during(fake.activities, async (queue) => {
    const holders = await tests.worker(snapshotQueue(queue), fake.activities);
    await holders.runUntil(async () => body(await tests.startJob(queue), fake));
  });
  return fake;
}

const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1);
const rewritten = () => Promise.reject(failureOf('SourceRewritten', 's.a was rewritten'));

test('a source that is rewritten under every snapshot ends the job after so many', async () => {
  const over: number[] = [];
  const startOver = (snapshot: number) => {
    over.push(snapshot);
    return [];
  };
  const tables = [{ table: 'a', partitions: 2, copy: rewritten }];
  const fake = await during({ tables, snapshots: { onLost: 'restart', startOver } }, async (handle) => {
    const { type, message } = await failureOfWorkflow(handle);
    expect(type).toBe('SourceRewritten');
    const times = `The job has started over ${MOST_RESTARTS} times under new snapshots, and lost this one as well`;
    expect(message).toContain(times);
    expect(message).toContain('s.a was rewritten');
    expect((await handle.query(jobProgress)).snapshot).toMatchObject({
      number: MOST_RESTARTS + 1,
      restarts: MOST_RESTARTS,
    });
  });
  expect(fake.holds).toEqual(upTo(MOST_RESTARTS + 1));
  expect(over).toEqual(upTo(MOST_RESTARTS));
  expect(fake.held.size).toBe(0);
  expect(fake.publishes.size).toBe(0);
  expect(fake.closed).toMatchObject([{ state: 'suspended' }]);
});

test('a job that was reset more than once lets go of the snapshot that it held before', async () => {
  const gate = new Gate();
  const tables = [{ table: 'a', partitions: 2, copy: () => gate.pass().then(() => undefined) }];
  const fake = await during({ tables, snapshots: { onLost: 'fail' } }, async ({ workflowId }, { held }) => {
    const { workflow } = tests.temporal.client;
    await until(() => gate.waiting === 2 && held.size === 1);
    for (const requestId of ['once', 'twice']) {
      const { runId } = await workflow.getHandle(workflowId).describe();
      const { events } = await workflow.getHandle(workflowId, runId).fetchHistory();
      const last = events!.findLast((event) => event.workflowTaskCompletedEventAttributes)!;
      await tests.temporal.client.workflowService.resetWorkflowExecution({
        ...{ namespace: 'default', workflowExecution: { workflowId, runId }, reason: 'test', requestId },
        workflowTaskFinishEventId: last.eventId!,
      });
    }
    gate.open();
    expect(await workflow.getHandle(workflowId).result()).toMatchObject({ phase: 'complete' });
  });
  expect(fake.held.size).toBe(0);
});

test('a snapshot that can never be kept ends the job after so many, too', async () => {
  const hold = () => Promise.reject(failureOf('SnapshotLost', 'no session holds it'));
  const tables = [{ table: 'a', partitions: 2 }];
  const fake = await during({ tables, snapshots: { onLost: 'restart', hold } }, async (handle) => {
    const { type, message } = await failureOfWorkflow(handle);
    expect(type).toBe('SnapshotLost');
    expect(message).toContain(`started over ${MOST_RESTARTS} times`);
  });
  expect(fake.holds).toEqual(upTo(MOST_RESTARTS + 1));
  expect(fake.calls.size).toBe(0);
});

test('what no new snapshot would mend is not tried under one', async () => {
  const hold = () => Promise.reject(failureOf('ServerUnsuitable', 'raise max_locks_per_transaction'));
  const tables = [{ table: 'a', partitions: 2 }];
  const fake = await during({ tables, snapshots: { onLost: 'restart', hold } }, async (handle) => {
    expect(await failureOfWorkflow(handle)).toMatchObject({
      type: 'ServerUnsuitable',
      message: expect.stringContaining('max_locks_per_transaction') as string,
    });
  });
  expect(fake.holds).toEqual([1]);
});

test('a loss starts over what is not published, and no more; with fail it ends the job', async () => {
  const once = (ordinal: number, call: number) => (ordinal === 1 && call === 1 ? rewritten() : undefined);
  const tables = [
    { table: 'a', partitions: 3, published: true, committed: [0, 1, 2] },
    { table: 'b', partitions: 3, copy: once },
  ];
  const startOver = () => ['a'];
  const fake = await during({ tables, snapshots: { onLost: 'restart', startOver } }, async (handle) => {
    const report = await handle.result();
    expect(report.snapshot).toMatchObject({ number: 2, restarts: 1, state: 'released' });
    expect(report.snapshot!.note).toContain('s.a was rewritten');
    expect(report).toMatchObject({ phase: 'complete', rows: 12 });
  });
  expect(fake.callsOf('a')).toEqual([0, 0, 0]);
  expect(fake.callsOf('b')[1]).toBe(2);
  const failing = await during({ tables, snapshots: { onLost: 'fail' } }, async (handle) => {
    const { type, message } = await failureOfWorkflow(handle);
    expect(type).toBe('SourceRewritten');
    expect(message).toContain('onSnapshotLost: fail');
    expect(message).toContain('"resume": "');
  });
  expect(failing.holds).toEqual([1]);
});

test('a holder that a person cancels, also before it holds, is a loss like any other', async () => {
  const hold = (snapshot: number) => (snapshot === 1 ? Context.current().cancelled : undefined);
  const tables = [{ table: 'a', partitions: 2 }];
  const fake = await during({ tables, snapshots: { onLost: 'restart', hold } }, async (handle, { holds }) => {
    await until(() => holds.length === 1);
    await tests.temporal.client.workflow.getHandle(`${handle.workflowId}/~snapshot`).cancel();
    const report = await handle.result();
    expect(report.snapshot).toMatchObject({ number: 2, restarts: 1, state: 'released' });
    expect(report.snapshot!.note).toContain('/~snapshot, which held the snapshot, was cancelled');
  });
  expect(fake.holds).toEqual([1, 2]);
});

test('holders that have not heard of their cancellation are ended at the source', async () => {
  const tables = [{ table: 'a', partitions: 2 }];
  const fake = await during({ tables, snapshots: { onLost: 'fail', deaf: true } }, async (handle) => {
    expect(await handle.result()).toMatchObject({ phase: 'complete', snapshot: { state: 'released', restarts: 0 } });
    const { events } = await tests.temporal.client.workflow.getHandle(`${handle.workflowId}/~snapshot`).fetchHistory();
    expect(events!.filter((event) => event.activityTaskTimedOutEventAttributes)).toEqual([]);
  });
  expect(fake.holds).toEqual([1]);
  expect(fake.released).toEqual([1]);
  expect(fake.held.size).toBe(0);
});

test('no snapshot is taken when a loss finds everything published', async () => {
  const tables = [{ table: 'a', partitions: 2, committed: [0, 1] }];
  const hold = () => Promise.reject(failureOf('SnapshotLost', 'no session holds it'));
  const startOver = () => ['a'];
  const fake = await during({ tables, snapshots: { onLost: 'restart', hold, startOver } }, async (handle) => {
    expect(await handle.result()).toMatchObject({ phase: 'complete', snapshot: { restarts: 1 } });
  });
  expect(fake.holds).toEqual([1]);
});

/** A partition that copies until it is told to end. */
function endless(): Promise<never> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), 200);
  return context.cancelled.finally(() => clearInterval(beat));
}

test('a snapshot that is held for too long ends a job that still reads, whatever onSnapshotLost says', async () => {
  const tables = [{ table: 'a', partitions: 2, copy: endless }];
  const fake = await during({ tables, snapshots: { onLost: 'restart', maxAge: 3_000 } }, async (handle) => {
    const { type, message } = await failureOfWorkflow(handle);
    expect(type).toBe('SnapshotTooOld');
    expect(message).toContain('Snapshot 1 was held for 3 seconds, the maxSnapshotAge of this job');
    expect(message).toContain('"resume": "');
    const { snapshot } = await handle.query(jobProgress);
    expect(snapshot).toMatchObject({ number: 1, state: 'released', restarts: 0 });
    expect(snapshot!.note).toContain('maxSnapshotAge');
  });
  expect(fake.holds).toEqual([1]);
  expect(fake.released).toEqual([1]);
  expect(fake.held.size).toBe(0);
  expect(fake.closed).toMatchObject([{ state: 'suspended' }]);
});

test('a job that waits for a person gives its snapshot up in time as well', async () => {
  const broken = () => Promise.reject(failureOf('DataRejected', 'a value is wrong'));
  const tables = [{ table: 'a', partitions: 1, copy: broken }];
  const job = { tables, onFailure: 'wait', snapshots: { onLost: 'restart', maxAge: 8_000 } } as const;
  const fake = await during(job, async (handle) => {
    expect((await failureOfWorkflow(handle)).type).toBe('SnapshotTooOld');
    expect((await handle.query(jobProgress)).tables[0]!.parked).toHaveLength(1);
  });
  expect(fake.held.size).toBe(0);
});

test('a job that has read everything goes on without its snapshot', async () => {
  const gate = new Gate();
  const tables = [{ table: 'a', partitions: 2, publish: () => gate.pass() }];
  const fake = await during({ tables, snapshots: { onLost: 'fail', maxAge: 8_000 } }, async (handle, { held }) => {
    await until(async () => (await handle.query(jobProgress)).snapshot?.state === 'released');
    expect(held.size).toBe(0);
    gate.open();
    const { phase, snapshot } = await handle.result();
    expect(phase).toBe('complete');
    expect(snapshot!.note).toContain('maxSnapshotAge');
  });
  expect(fake.released).toEqual([1]);
});

test('a holder that fails by itself is no loss while the other holds', async () => {
  const held1 = new Gate();
  const hold = (_: number, holder: number) =>
    holder === 1
      ? held1.pass().then(() => Promise.reject(failureOf('ServerUnsuitable', 'raise max_locks_per_transaction')))
      : undefined;
  const gate = new Gate();
  const tables = [{ table: 'a', partitions: 1, copy: () => gate.pass().then(() => undefined) }];
  await during({ tables, snapshots: { onLost: 'fail', hold } }, async (handle, { held }) => {
    await until(() => held.has(1));
    held1.open();
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/~snapshot`);
    await until(async () => (await timers(child)) > 0);
    gate.open();
    expect(await handle.result()).toMatchObject({ phase: 'complete', snapshot: { restarts: 0 } });
  });
});

/** What a workflow has waited for so far. */
async function timers(handle: WorkflowHandle): Promise<number> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).filter(({ timerStartedEventAttributes }) => timerStartedEventAttributes != null).length;
}
