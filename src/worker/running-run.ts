import { getClient } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Log } from '../connectors/types.js';
import { startOf } from './job-start.js';

/** Milliseconds for both questions together. Temporal answers in a fraction of it, or is away. */
const PATIENCE = 5_000;

/**
 * See `Dependencies.runningRun`; to be called within an activity, whose worker's Temporal is asked. A Temporal that does not answer is
 * told of in the log, and keeps nobody from going on: the ledger fences off whoever else is at work.
 */
export async function runningRun(log: Log, workflowId: string): Promise<string | undefined> {
  const client = getClient();
  try {
    return await client.withDeadline(Date.now() + PATIENCE, async () => {
      const { status, type, runId } = await client.workflow.getHandle(workflowId).describe();
      if (status.name !== 'RUNNING' || type !== 'copyJob') return undefined;
      return (await startOf(client, { workflowId, runId })).run;
    });
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    log.warn({ job: workflowId, reason: String(error) }, 'Temporal did not say whether this job still runs');
    return undefined;
  }
}
