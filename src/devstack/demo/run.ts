import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { JobProgress, JobReport, TableProgress } from '../../../workflows/messages.js';
import type { Log } from '../report.js';
import { TASK_QUEUE, type DemoStack } from './stack.js';
import { DEMO_TABLES } from './tables.js';

export const WORKFLOW_ID = 'demo';

/** The demo's job file. Partitions are small and death is noticed early, to have something to see in a minute. */
const JOB = {
  name: WORKFLOW_ID,
  source: 'shop',
  destination: 'warehouse',
  parallelism: 3,
  retry: { heartbeatTimeout: '5s' },
  defaults: { partition: { rows: 60_000 } },
  tables: DEMO_TABLES.map((table) => table.name),
};

/** Milliseconds within which the job must have come to the point where the worker is killed. */
const KILL_DEADLINE = 120_000;

/**
 * Starts the job, kills its worker with SIGKILL in mid-copy, starts the next one, and waits for the end.
 * @throws Error when the job was over before the worker could be killed, or failed.
 */
export async function runJob(
  client: Client,
  stack: DemoStack,
  log: Log,
): Promise<{ report: JobReport; workerKills: number }> {
  const first = await stack.startWorker();
  const handle = await client.workflow.start('copyJob', {
    taskQueue: TASK_QUEUE,
    workflowId: WORKFLOW_ID,
    args: [JOB],
  });
  const seen = await untilMidCopy(client, handle);
  process.kill(first.pid, 'SIGKILL');
  await first.exited;
  log(
    `Killed the worker (SIGKILL) with ${seen.committed} of ${seen.partitions} partitions committed and ${seen.running} in flight.`,
  );
  const next = await stack.startWorker();
  log(`Started another (process ${next.pid}); it takes over what the first left.`);
  return { report: (await handle.result()) as JobReport, workerKills: 1 };
}

/** Resolves when a third of the partitions is committed and others are being copied. */
async function untilMidCopy(
  client: Client,
  handle: WorkflowHandle,
): Promise<{ committed: number; partitions: number; running: number }> {
  const deadline = Date.now() + KILL_DEADLINE;
  while (Date.now() < deadline) {
    const sum = await sumOfTables(client, await handle.query<JobProgress>('progress'));
    if (sum.partitions > 0 && sum.running > 0 && sum.committed >= sum.partitions / 3) return sum;
    if ((await handle.describe()).status.name !== 'RUNNING') await handle.result();
    await sleep(100);
  }
  throw new Error('The copy did not get to its middle in time; the log of the worker is in worker.log.');
}

async function sumOfTables(
  client: Client,
  job: JobProgress,
): Promise<{ committed: number; partitions: number; running: number }> {
  const tables = await Promise.all(job.tables.map((table) => ownProgress(client, table)));
  const sum = (of: (table: TableProgress) => number): number => tables.reduce((total, table) => total + of(table), 0);
  const planned = tables.every((table) => table.partitions !== undefined);
  return {
    committed: sum((table) => table.committed),
    running: sum((table) => table.running),
    partitions: planned ? sum((table) => table.partitions ?? 0) : 0,
  };
}

async function ownProgress(client: Client, table: JobProgress['tables'][number]): Promise<TableProgress> {
  if (table.child === undefined || table.endedAt !== undefined) return table;
  return client.workflow.getHandle(table.child).query<TableProgress>('progress');
}
