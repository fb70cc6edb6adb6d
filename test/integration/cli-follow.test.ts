import { Context } from '@temporalio/activity';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Looker } from '../../src/cli/follow/ask.js';
import { FakeActivities, Gate } from '../support/fake-activities.js';
import { until, WorkflowTests } from '../support/workflows.js';

let tests: WorkflowTests;
beforeAll(async () => {
  tests = await WorkflowTests.start();
});
afterAll(() => tests.stop());

test("a look adds up the heartbeats of a table's running attempts, beside what is committed", async () => {
  const gate = new Gate();
  const copy = async (ordinal: number) => {
    if (ordinal === 0) return undefined;
    Context.current().heartbeat({ rows: 1_000 * ordinal, bytes: 7_000 * ordinal, phase: 'copying' });
    await gate.pass();
    return undefined;
  };
  const fake = new FakeActivities({ tables: [{ table: 'public.a', partitions: 3, copy }] });
  await tests.during(fake.activities, async (queue) => {
    const handle = await tests.startJob(queue);
    const { client } = tests.temporal;
    const names = { workflowId: handle.workflowId, runId: handle.firstExecutionRunId, taskQueue: queue };
    const looker = new Looker({ client, handle, ...names });
    await until(() => gate.waiting === 2);
    let table = (await looker.look()).tables[0];
    await until(async () => {
      table = (await looker.look()).tables[0];
      return table?.committed === 1 && table.inFlight.rows === 3_000;
    });
    expect(table).toMatchObject({ phase: 'copying', rows: 1, inFlight: { rows: 3_000, bytes: 21_000 } });
    gate.open();
    await handle.result();
    expect((await looker.look()).tables[0]).toMatchObject({ phase: 'published', inFlight: { rows: 0, bytes: 0 } });
  });
});
