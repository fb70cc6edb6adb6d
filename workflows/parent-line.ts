import {
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  workflowInfo,
} from '@temporalio/workflow';
import { isGone } from './children.js';
import { tableReport, type TableReport } from './messages.js';

/**
 * Milliseconds that a report waits for more to tell. A job's history holds every report of every table, and Temporal ends
 * a workflow at 10,000 signals or 51,200 events: a small table is done before its first report, and sends none.
 */
const PAUSE = 1_000;
/** After so many reports, from a table whose connection comes and goes, the pauses get longer. */
const MANY = 20;
const LONG_PAUSE = 10_000;

/**
 * The line from copyTable to its parent. One report is under way at a time, so that they arrive in order; what changes meanwhile
 * is told by the next one. A table without a parent, or whose parent has closed, goes on by itself.
 */
export class ParentLine {
  #sending: Promise<void> | undefined;
  #due = false;
  #ending = false;
  #sent = 0;
  #closed = workflowInfo().parent === undefined;

  constructor(private readonly report: () => Omit<TableReport, 'from'>) {}

  get closed(): boolean {
    return this.#closed;
  }

  /** Reports the state as it is when its turn comes, after the pause. */
  tell(): void {
    this.#due = true;
    this.#sending ??= CancellationScope.nonCancellable(() => this.#send());
  }

  /** The last word of this execution: what is due is told at once. Resolves when the parent has it. */
  async flush(): Promise<void> {
    this.#ending = true;
    await CancellationScope.nonCancellable(async () => this.#sending);
  }

  /** Instead of `flush` where the workflow's result tells everything. Resolves when nothing is under way. */
  async hangUp(): Promise<void> {
    this.#due = false;
    await this.flush();
  }

  async #send(): Promise<void> {
    while (this.#due) {
      await condition(() => this.#ending, this.#sent < MANY ? PAUSE : LONG_PAUSE);
      await this.#signal();
    }
    this.#sending = undefined;
  }

  async #signal(): Promise<void> {
    if (!this.#due) return;
    this.#due = false;
    if (this.#closed) return;
    this.#sent += 1;
    const report = { ...this.report(), from: workflowInfo().firstExecutionRunId };
    try {
      await getExternalWorkflowHandle(workflowInfo().parent!.workflowId).signal(tableReport, report);
    } catch (error) {
      if (isCancellation(error)) throw error;
      this.#failed(error);
    }
  }

  /** The parent counts as taken what it was not told to be free, so a report is tried again; an ending's is told by the end itself. */
  #failed(error: unknown): void {
    const reason = String(error);
    if (isGone(error)) {
      this.#closed = true;
      log.warn('The parent workflow has closed; this table goes on without it.', { reason });
      return;
    }
    this.#due = !this.#ending;
    log.warn('A report did not reach the parent workflow.', { reason });
  }
}
