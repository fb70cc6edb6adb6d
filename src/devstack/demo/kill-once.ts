import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { parkedCount, type JobProgress, type TableProgress } from '../../../workflows/messages.js';
import type { Log } from '../report.js';
import type { Supervised } from '../supervised.js';

/** The task queue of a worker whose longhaul.yaml doesn't say another. */
const TASK_QUEUE = 'longhaul';

/** Milliseconds without a partition committed after which the job is given up. */
const PATIENCE = 120_000;

export interface Performance {
  readonly client: Client;
  readonly workflowId: string;
  /** The job file's content. */
  readonly job: unknown;
  readonly startWorker: () => Promise<Supervised>;
  readonly log: Log;
}

/**
 * Starts a worker and the job, kills the worker with SIGKILL in mid-copy, and starts the next one. The job goes on then.
 * @throws Error when the job was over before the worker could be killed.
 */
export async function startAndKillOnce({
  client,
  workflowId,
  job,
  startWorker,
  log,
}: Performance): Promise<WorkflowHandle> {
  const first = await startWorker();
  const handle = await client.workflow.start('copyJob', { taskQueue: TASK_QUEUE, workflowId, args: [job] });
  const seen = await untilMidCopy(client, handle);
  process.kill(first.pid, 'SIGKILL');
  await first.exited;
  log(
    `Killed the worker (SIGKILL) with ${seen.committed} of ${seen.partitions} partitions committed and ${seen.running} in flight.`,
  );
  const next = await startWorker();
  log(`Started another (process ${next.pid}); it takes over what the first left.`);
  return handle;
}

export interface Sum {
  readonly committed: number;
  readonly partitions: number;
  readonly running: number;
  readonly parked: number;
}

/** Resolves when a third of the partitions is committed, or parked, and others are being copied or wait for a person. */
async function untilMidCopy(client: Client, handle: WorkflowHandle): Promise<Sum> {
  let deadline = Date.now() + PATIENCE;
  for (let committed = 0; Date.now() < deadline;) {
    const sum = await sumOfTables(client, await handle.query<JobProgress>('progress'));
    if (isMiddle(sum)) return sum;
    if ((await handle.describe()).status.name !== 'RUNNING') throw await overTooSoon(handle);
    if (sum.committed > committed) deadline = Date.now() + PATIENCE;
    committed = sum.committed;
    await sleep(100);
  }
  throw new Error('The copy stands still before its middle; the log of the worker is in worker.log.');
}

function isMiddle({ committed, partitions, running, parked }: Sum): boolean {
  return partitions > 0 && running + parked > 0 && committed + parked >= partitions / 3;
}

/** Rejects with the job's own failure, if it has failed. */
async function overTooSoon(handle: WorkflowHandle): Promise<Error> {
  await handle.result();
  return new Error('The copy was over before its worker could be killed.');
}

/** Of tables that are running, what they say themselves: the job hears of it later. */
export async function sumOfTables(client: Client, job: JobProgress): Promise<Sum> {
  const tables = await Promise.all(job.tables.map((table) => ownProgress(client, table)));
  const sum = (of: (table: TableProgress) => number): number => tables.reduce((total, table) => total + of(table), 0);
  const planned = tables.every((table) => table.partitions !== undefined);
  return {
    committed: sum((table) => table.committed),
    running: sum((table) => table.running),
    parked: sum(parkedCount),
    partitions: planned ? sum((table) => table.partitions ?? 0) : 0,
  };
}

async function ownProgress(client: Client, table: JobProgress['tables'][number]): Promise<TableProgress> {
  if (table.child === undefined || table.endedAt !== undefined) return table;
  return client.workflow.getHandle(table.child).query<TableProgress>('progress');
}
