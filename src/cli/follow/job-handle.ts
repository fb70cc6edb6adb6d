import type { Client, WorkflowHandle } from '@temporalio/client';

/** One execution of copyJob, pinned by its run id, and what is needed to ask after it. */
export interface JobHandle {
  readonly client: Client;
  readonly handle: WorkflowHandle;
  readonly workflowId: string;
  readonly runId: string;
  readonly taskQueue: string;
}

/** Milliseconds a question may take. A worker answers in a fraction of it, or isn't there. */
const PATIENCE = 3_000;

/** `ask`, given up after a few seconds. */
export function withPatience<T>(client: Client, ask: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + PATIENCE, ask);
}
