import type { Client, WorkflowHandle } from '@temporalio/client';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from './context.js';
import { EXIT } from './exit-codes.js';
import { withPatience } from './follow/job-handle.js';
import { WorkerWatch } from './follow/workers.js';

/** Milliseconds between two looks at a workflow whose answer is awaited. */
const PERIOD = 1_000;

/** Looks at which the workflow's first task may still wait for a worker before that is said. */
const PATIENT_LOOKS = 3;

/** PENDING_WORKFLOW_TASK_STATE_SCHEDULED: the task waits for a worker to take it. */
const SCHEDULED = 1;

/**
 * The result of a short workflow that a person waits for. A missing worker is said, and waited for; Ctrl-C terminates the
 * workflow and the program.
 */
export async function awaitResult(
  client: Client,
  handle: WorkflowHandle,
  taskQueue: string,
  { screen, hint }: Context,
): Promise<unknown> {
  const workers = new WorkerWatch(client, taskQueue, hint('worker'), (notice) => screen.err.prose(notice));
  const interrupted = () => void handle.terminate('interrupted').finally(() => process.exit(EXIT.interrupted));
  process.once('SIGINT', interrupted);
  const done = new AbortController();
  try {
    const answer: Promise<unknown> = handle.result().finally(() => done.abort());
    const [result] = await Promise.all([answer, watchWorkers(client, handle, workers, done.signal)]);
    return result;
  } finally {
    process.off('SIGINT', interrupted);
  }
}

async function watchWorkers(
  client: Client,
  handle: WorkflowHandle,
  workers: WorkerWatch,
  done: AbortSignal,
): Promise<void> {
  await workers.begin();
  let waiting = 0;
  while (await passes(PERIOD, done)) {
    const { raw } = await withPatience(client, () => handle.describe());
    waiting = Number(raw.pendingWorkflowTask?.state) === SCHEDULED ? waiting + 1 : 0;
    if (waiting === 0) workers.answered();
    else if (waiting >= PATIENT_LOOKS) await workers.unanswered();
  }
}

/** True after that time, false at once when `done`. */
async function passes(milliseconds: number, done: AbortSignal): Promise<boolean> {
  await sleep(milliseconds, undefined, { signal: done }).catch(() => undefined);
  return !done.aborted;
}
