import { CancellationScope, getExternalWorkflowHandle, isCancellation, log, workflowInfo } from '@temporalio/workflow';
import { tableReport, type TableReport } from './messages.js';

/**
 * The line from copyTable to its parent. One report is under way at a time, so that they arrive in order; what changes meanwhile
 * is told by the next one. A table without a parent, or whose parent has closed, goes on by itself.
 */
export class ParentLine {
  #sending: Promise<void> | undefined;
  #due = false;
  #closed = workflowInfo().parent === undefined;

  constructor(private readonly report: () => Omit<TableReport, 'from'>) {}

  get closed(): boolean {
    return this.#closed;
  }

  /** Reports the state as it is when its turn comes. */
  tell(): void {
    this.#due = true;
    this.#sending ??= CancellationScope.nonCancellable(() => this.#send());
  }

  /** Resolves when the parent has everything that was told. */
  async flush(): Promise<void> {
    await CancellationScope.nonCancellable(async () => this.#sending);
  }

  async #send(): Promise<void> {
    while (this.#due) {
      this.#due = false;
      const report = { ...this.report(), from: workflowInfo().firstExecutionRunId };
      if (!this.#closed) await this.#signal(report);
    }
    this.#sending = undefined;
  }

  async #signal(report: TableReport): Promise<void> {
    try {
      await getExternalWorkflowHandle(workflowInfo().parent!.workflowId).signal(tableReport, report);
    } catch (error) {
      if (isCancellation(error)) throw error;
      this.#closed = true;
      log.warn('The parent workflow has closed; this table goes on without it.', { reason: String(error) });
    }
  }
}
