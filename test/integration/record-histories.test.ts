import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { jobProgress, retry, setParallelism, tableProgress } from '../../workflows/messages.js';
import { FakeActivities, failureOf, Gate, type FakeJob } from '../support/fake-activities.js';
import { failureOfWorkflow, until, WorkflowTests } from '../support/workflows.js';

/**
 * Records the histories that test/replay replays. Only for a release, whose code they then hold to:
 * `LONGHAUL_RECORD=v0.1 npx vitest run test/integration/record-histories.test.ts` writes test/replay/histories/v0.1-*.json.
 */
const release = process.env.LONGHAUL_RECORD;

let tests: WorkflowTests;

async function record(name: string, workflowId: string, runId?: string): Promise<void> {
  const history = await tests.temporal.client.workflow.getHandle(workflowId, runId).fetchHistory();
  const file = new URL(`../replay/histories/${release}-${name}.json`, import.meta.url);
  await writeFile(file, JSON.stringify(history));
}

const run = (job: FakeJob, body: (queue: string) => Promise<void>) =>
  tests.during(new FakeActivities(job).activities, body);

describe.skipIf(release === undefined)('recording', () => {
  beforeAll(async () => {
    tests = await WorkflowTests.start();
  });
  afterAll(() => tests.stop());

  test('a job that parks, is retried and completes', async () => {
    let broken = true;
    const copy = (ordinal: number) => {
      if (broken && ordinal === 2) throw failureOf('DataRejected', 'the value was refused');
      return undefined;
    };
    const tables = [
      { table: 'a', partitions: 12, steps: [{ step: 0, label: 'primary key' }] },
      { table: 'b', partitions: 5, copy },
      { table: 'c', partitions: 1, lose: [0] },
    ];
    await run({ tables, onFailure: 'wait', parallelism: 2 }, async (queue) => {
      const handle = await tests.startJob(queue);
      await until(async () => (await handle.query(jobProgress)).phase === 'waiting on parked');
      await handle.executeUpdate(setParallelism, { args: [3] });
      broken = false;
      await handle.executeUpdate(retry, { args: [{}] });
      await handle.result();
      await record('job-complete', handle.workflowId);
      for (const { table } of tables) await record(`table-${table}`, `${handle.workflowId}/${table}`);
    });
  });

  test('a job that fails', async () => {
    const copy = () => {
      throw failureOf('SourceChanged', 'a column is gone');
    };
    await run(
      {
        tables: [
          { table: 'a', partitions: 3, copy },
          { table: 'b', partitions: 2 },
        ],
      },
      async (queue) => {
        const handle = await tests.startJob(queue);
        await failureOfWorkflow(handle);
        await record('job-failed', handle.workflowId);
        await record('table-failed', `${handle.workflowId}/a`);
      },
    );
  });

  test('a job that is cancelled', async () => {
    const gate = new Gate();
    const copy = () => gate.pass().then(() => undefined);
    await run({ tables: [{ table: 'a', partitions: 9, copy }] }, async (queue) => {
      const handle = await tests.startJob(queue);
      await until(() => gate.waiting > 0);
      await handle.cancel();
      gate.open();
      await handle.result().catch(() => undefined);
      await record('job-cancelled', handle.workflowId);
      await record('table-cancelled', `${handle.workflowId}/a`);
    });
  });

  test('a table that continues as new, and one whose connection is away', async () => {
    let away = 3;
    const copy = () => {
      if (away === 0) return undefined;
      away -= 1;
      throw failureOf('ConnectionFailed', 'nobody answers');
    };
    await run({ tables: [{ table: 't', partitions: 25, copy }] }, async (queue) => {
      const handle = await tests.startTable(queue, { table: 't', continueAfter: 14 });
      await handle.result();
      await record('table-continued-1', handle.workflowId, handle.firstExecutionRunId);
      await record('table-continued-2', handle.workflowId);
      await handle.query(tableProgress);
    });
  });
});
