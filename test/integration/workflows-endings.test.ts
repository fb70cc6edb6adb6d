import { ApplicationFailure, Context } from '@temporalio/activity';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HANDED_BACK } from '../../src/core/activities.js';
import { jobProgress, setParallelism, tableProgress, tableReport } from '../../workflows/messages.js';
import { FakeActivities, failureOf, Gate, type FakeJob } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests, type JobHandle } from '../support/workflows.js';

/** Ends that nobody asked for, of activities beside the copying, and what the workflows believe afterwards. */

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

async function during(job: FakeJob, body: (handle: JobHandle, fake: FakeActivities) => Promise<void>) {
  const fake = new FakeActivities(job);
  ledger.current = fake;
  await tests.during(fake.activities, async (queue) => body(await tests.startJob(queue), fake));
  return fake;
}

/** What the running test's ledger has. */
const ledger: { current?: FakeActivities } = {};

/** Ends when it is cancelled, or with its worker; sends no heartbeat of its own. */
const untilCancelled = (): Promise<never> => Context.current().cancelled;

async function beating(): Promise<never> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), 200);
  return context.cancelled.finally(() => clearInterval(beat));
}

test('a table whose swap went through while the job was cancelled is said to be published', async () => {
  const gate = new Gate();
  let swapped = false;
  const tables = [
    {
      table: 'a',
      partitions: 3,
      publish: async (call: number) => {
        if (call > 1) return;
        ledger.current!.done.add('a');
        swapped = true;
        await beating();
      },
    },
    { table: 'b', partitions: 2, copy: () => gate.pass().then(() => undefined) },
  ];
  const fake = await during({ tables, retry: { heartbeatTimeout: 5_000 } }, async (handle) => {
    await until(() => swapped && gate.waiting === 2);
    await handle.cancel();
    gate.open();
    await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    const { phase, tables: shown } = await handle.query(jobProgress);
    expect(phase).toBe('cancelled');
    expect(shown).toMatchObject([
      { table: 'a', phase: 'published', committed: 3, rows: 6, note: expect.stringContaining('ledger') as string },
      { table: 'b', phase: 'cancelled' },
    ]);
    const child = tests.temporal.client.workflow.getHandle(`${handle.workflowId}/a`);
    expect((await child.query(tableProgress)).note).toBe(
      'cancelled while it was being published: the job shows whether it was',
    );
  });
  expect(fake.closed).toMatchObject([{ state: 'suspended' }]);
});

test('a table that failed while its swap committed is published, and no failure of the job', async () => {
  const tables = [
    {
      table: 'a',
      partitions: 3,
      publish: (call: number) => {
        if (call > 1) return;
        ledger.current!.done.add('a');
        throw failureOf('SourceChanged', 'its session was ended as it committed');
      },
    },
    { table: 'b', partitions: 2 },
  ];
  await during({ tables }, async (handle) => {
    expect(await handle.result()).toMatchObject({ phase: 'complete', rows: 9 });
  });
});

test('a table that failed and is not published is a failure, and suspended once', async () => {
  const publish = () => Promise.reject(failureOf('TargetChanged', 'a view came'));
  const tables = [{ table: 'a', partitions: 1, publish }];
  const fake = await during({ tables }, async (handle) => {
    expect((await failureOfWorkflow(handle)).message).toContain('a view came');
    expect((await handle.query(jobProgress)).tables).toMatchObject([{ phase: 'failed' }]);
  });
  expect(fake.closed).toHaveLength(1);
  expect(fake.publishes.get('a')).toBe(1);
});

test('a report of a child that is not the running one changes nothing', async () => {
  const gate = new Gate();
  const tables = [{ table: 'a', partitions: 6, copy: () => gate.pass().then(() => undefined) }];
  await during({ tables, parallelism: 2 }, async (handle, fake) => {
    await until(() => gate.waiting === 2);
    const before = (await handle.query(jobProgress)).tables[0]!;
    const progress = { ...before, phase: 'publishing' as const, committed: 6 };
    await handle.signal(tableReport, { from: 'an-earlier-life', holds: 0, wants: 0, acknowledged: 99, progress });
    // An update is handled after the signals that came before it.
    await handle.executeUpdate(setParallelism, { args: [3] });
    const [shown] = (await handle.query(jobProgress)).tables;
    expect(shown).not.toMatchObject({ phase: 'publishing' });
    expect(shown!.committed).toBe(0);
    await until(() => fake.running === 3);
    gate.open();
    expect(await handle.result()).toMatchObject({ phase: 'complete' });
  });
});

test('what was handed back beside the copying is scheduled anew, and not counted as a failure', async () => {
  const handBack = (call: number) => {
    if (call < 4) throw ApplicationFailure.nonRetryable('its worker is shutting down', HANDED_BACK);
  };
  const tables = [{ table: 'a', partitions: 2, prepare: handBack, publish: handBack }];
  const fake = await during({ tables, open: handBack, retry: { maximumAttempts: 1 } }, async (handle) => {
    expect(await handle.result()).toMatchObject({ phase: 'complete' });
  });
  expect([fake.opened.length, fake.calls.get('a prepare'), fake.publishes.get('a')]).toEqual([4, 4, 4]);
});

test('a worker that crashes beside the copying uses up no attempt, and not for ever', async () => {
  const retry = { maximumAttempts: 1, maximumCrashes: 2, heartbeatTimeout: 1_000 };
  const tables = [
    { table: 'twice', partitions: 1, prepare: (call: number) => (call <= 2 ? untilCancelled() : undefined) },
    { table: 'always', partitions: 1, prepare: untilCancelled },
  ];
  const fake = await during({ tables, retry }, async (handle) => {
    const { message } = await failureOfWorkflow(handle);
    expect(message).toContain('1 of 2 tables failed');
    expect(message).toContain('always: Gave up after 3 crashes in a row');
    expect((await handle.query(jobProgress)).tables[0]).toMatchObject({ table: 'twice', phase: 'published' });
  });
  expect([fake.calls.get('twice prepare'), fake.calls.get('always prepare')]).toEqual([3, 3]);
});
