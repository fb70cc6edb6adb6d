import type { Client } from '@temporalio/client';
import { arrayFromPayloads, defaultPayloadConverter } from '@temporalio/common';
import { textOf } from '../core/text.js';

/** What a job was started with, by its history: known also when no worker answers. */
export interface JobStart {
  readonly run: string;
  /** As the job file says; absent in one that is wrong. */
  readonly destination?: string;
}

/** One execution of copyJob. */
interface Execution {
  readonly workflowId: string;
  readonly runId: string;
}

export async function startOf(client: Client, { workflowId, runId }: Execution): Promise<JobStart> {
  const { history } = await client.workflowService.getWorkflowExecutionHistory({
    namespace: client.options.namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  const [input] = arrayFromPayloads(defaultPayloadConverter, started?.input?.payloads);
  const destination = textOf(input, 'destination');
  const run = textOf(input, 'resume') ?? (started?.firstExecutionRunId || runId);
  return { run, ...(destination !== undefined && { destination }) };
}
