import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ChildWorkflowCancellationType,
  type ChildWorkflowHandle,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  patched,
  sleep,
  startChild,
  type Workflow,
} from '@temporalio/workflow';
import type { copyTable } from './copy-table.js';
import type { keepSnapshot } from './keep-snapshot.js';
import type { CopyTableInput, KeepSnapshotInput } from './messages.js';

export type TableChild = ChildWorkflowHandle<typeof copyTable>;
export type HolderChild = ChildWorkflowHandle<typeof keepSnapshot>;

const LONGEST_PAUSE = 30_000;

/** Starts the child of one table. */
export function startTable(workflowId: string, summary: string, input: CopyTableInput): Promise<TableChild> {
  return startAlone<typeof copyTable>('copyTable', workflowId, summary, [input]);
}

/** Starts the child that holds the job's snapshot. */
export function startHolder(workflowId: string, input: KeepSnapshotInput): Promise<HolderChild> {
  return startAlone<typeof keepSnapshot>('keepSnapshot', workflowId, `snapshot ${input.snapshot.snapshot}`, [input]);
}

/**
 * A job that was reset may find the child of its earlier life under the same id: that one is cancelled, and its end awaited, so
 * that two children never do one thing.
 */
async function startAlone<T extends Workflow>(
  type: string,
  workflowId: string,
  staticSummary: string,
  args: Parameters<T>,
): Promise<ChildWorkflowHandle<T>> {
  for (let pause = 500; ; pause = Math.min(LONGEST_PAUSE, pause * 2)) {
    try {
      return await startChild<Workflow>(type, {
        workflowId,
        args,
        staticSummary,
        cancellationType: ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      await unlessGone(getExternalWorkflowHandle(workflowId).cancel());
      await sleep(pause);
    }
  }
}

/** Milliseconds that cancelled children have to end by themselves, and between two cancellations by their names. */
const ENDS_WITHIN = 10_000;

/**
 * Resolves when none of these children is left, or those that are left are gone. A job that was reset more than once is not the parent
 * any more of a child that it had begun before: cancelling it as a child comes to nothing, and of its end nobody tells.
 */
export async function untilEnded(running: () => readonly string[]): Promise<void> {
  if (running().length === 0) return;
  if (!patched('children by name')) return condition(() => running().length === 0);
  while (!(await condition(() => running().length === 0, ENDS_WITHIN))) {
    const reached = await Promise.all(running().map((id) => unlessGone(getExternalWorkflowHandle(id).cancel())));
    if (!reached.includes(true)) return;
  }
}

/** Awaits a signal or a cancel request. False: its workflow has ended meanwhile, which is no error. */
export async function unlessGone(sent: Promise<void>): Promise<boolean> {
  try {
    await sent;
    return true;
  } catch (error) {
    if (isCancellation(error)) throw error;
    if (!isGone(error)) throw error;
    log.debug('A message found its workflow ended.');
    return false;
  }
}

/** The workflow that a message went to has ended, or never was. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && /not found|already completed/i.test(error.message);
}
