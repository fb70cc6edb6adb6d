import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { readJobFile } from '../../config/index.js';
import { parkedCount, retry, type JobProgress } from '../../../workflows/messages.js';
import { startAndKillOnce, sumOfTables } from '../demo/kill-once.js';
import { withClient } from '../demo/sql.js';
import { tableResults, totals, type TableResult } from '../demo/results.js';
import type { Log } from '../report.js';
import { compareWithExpected } from './expected.js';
import { EXAMPLE, type Stage } from './stage.js';

export const WORKFLOW_ID = 'homegrown';

/** How often parked queries are tried again before they are left. */
const MOST_RETRIES = 3;

export interface Outcome {
  readonly tables: readonly TableResult[];
  readonly queries: number;
  readonly rows: number;
  readonly missing: number;
  readonly duplicated: number;
  /** Attempts beyond the first of each query. */
  readonly retries: number;
  /** Queries that were left parked. */
  readonly parked: number;
  /** Rows of the control table that were marked as completed. */
  readonly completed: number;
  /** What the library did wrong on purpose: how often, by kind. */
  readonly troubles: ReadonlyMap<string, number>;
}

/** Runs the example's job with its worker killed once, and compares every row. The second worker is left running. */
export async function play(stage: Stage, temporalAddress: string, log: Log): Promise<Outcome> {
  const connection = await Connection.connect({ address: temporalAddress });
  try {
    const progress = await runJob(new Client({ connection }), stage, log);
    log('Making every row again, and comparing …');
    return await outcomeOf(stage, progress);
  } finally {
    await connection.close();
  }
}

/** The job file, with a death noticed early: to have something to see in a minute. */
async function readJob({ source, to }: Stage): Promise<unknown> {
  const file = to === 'lake' ? 'job-lake.yaml' : 'job.yaml';
  const job = (await readJobFile(join(EXAMPLE, file))) as { retry: object };
  return { ...job, source, retry: { ...job.retry, heartbeatTimeout: '5s' } };
}

async function runJob(client: Client, stage: Stage, log: Log): Promise<JobProgress> {
  const { workers } = stage;
  const job = await readJob(stage);
  const startWorker = () => workers.start();
  const handle = await startAndKillOnce({ client, workflowId: WORKFLOW_ID, job, startWorker, log });
  for (let left = MOST_RETRIES; await waitsOnParked(client, handle, log); left--) {
    if (left === 0) return giveUp(handle);
    await retryParked(handle, log);
  }
  return (await handle.result()) as JobProgress;
}

/** Milliseconds between two words on how far it is. */
const WORD_EVERY = 10_000;

/** Resolves when the job has ended (false), or waits for a person (true). */
async function waitsOnParked(client: Client, handle: WorkflowHandle, log: Log): Promise<boolean> {
  let next = Date.now() + WORD_EVERY;
  while ((await handle.describe()).status.name === 'RUNNING') {
    const progress = await handle.query<JobProgress>('progress');
    if (progress.phase === 'waiting on parked') return true;
    if (Date.now() >= next) {
      const { committed, partitions } = await sumOfTables(client, progress);
      log(`${committed} of ${partitions} queries committed …`);
      next = Date.now() + WORD_EVERY;
    }
    await sleep(500);
  }
  return false;
}

/** Milliseconds after which a job knows surely what its tables were told. */
const NEWS = 2_000;

/** As `longhaul retry` does it. */
async function retryParked(handle: WorkflowHandle, log: Log): Promise<void> {
  const { retried } = await handle.executeUpdate(retry, { args: [{}] });
  log(`longhaul retry ${handle.workflowId}: ${retried} parked, tried again.`);
  await sleep(NEWS);
}

/** What the job had come to. Its targets stay as they were. */
async function giveUp(handle: WorkflowHandle): Promise<JobProgress> {
  const progress = await handle.query<JobProgress>('progress');
  await handle.cancel();
  await handle.result().catch(() => undefined);
  return progress;
}

async function outcomeOf(stage: Stage, progress: JobProgress): Promise<Outcome> {
  const tables = await tableResults(progress, (table) => compareWithExpected(stage, table));
  const sum = (of: (table: JobProgress['tables'][number]) => number): number =>
    progress.tables.reduce((total, table) => total + of(table), 0);
  return {
    tables,
    ...totals(tables),
    ...(await controlTable(stage)),
    retries: sum(({ retries }) => retries),
    parked: sum(parkedCount),
    troubles: await stage.troubles(),
  };
}

async function controlTable({ controlUrl }: Stage): Promise<{ queries: number; completed: number }> {
  return withClient(controlUrl, async (client) => {
    const { rows } = await client.query<{ queries: number; completed: number }>(
      'SELECT count(*)::int AS queries, count(completed)::int AS completed FROM _extract',
    );
    return rows[0]!;
  });
}
