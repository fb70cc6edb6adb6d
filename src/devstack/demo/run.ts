import type { Client } from '@temporalio/client';
import type { JobReport } from '../../../workflows/messages.js';
import type { Log } from '../report.js';
import { startAndKillOnce } from './kill-once.js';
import type { DemoStack } from './stack.js';
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

/**
 * Starts the job, kills its worker with SIGKILL in mid-copy, starts the next one, and waits for the end.
 * @throws Error when the job was over before the worker could be killed, or failed.
 */
export async function runJob(
  client: Client,
  { workers }: DemoStack,
  log: Log,
): Promise<{ report: JobReport; workerKills: number }> {
  const startWorker = () => workers.start();
  const handle = await startAndKillOnce({ client, workflowId: WORKFLOW_ID, job: JOB, startWorker, log });
  return { report: (await handle.result()) as JobReport, workerKills: 1 };
}
