import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { LedgerView, RunsQuery, RunView } from '../core/activities.js';
import { jobProgress } from '../../workflows/messages.js';
import { awaitResult } from './await-result.js';
import type { Context } from './context.js';
import { CliError } from './errors.js';
import { EXIT } from './exit-codes.js';
import { failureOutcome } from './follow/outcome.js';
import { withPatience } from './follow/job-handle.js';
import { describeIfKnown } from './temporal.js';

/** A short workflow's answer: only workers have the connections to the ledgers. */
export async function askWorker(
  client: Client,
  context: Context,
  taskQueue: string,
  ask: { readonly type: 'listRuns' | 'cleanRuns' | 'vacuumTables'; readonly input: unknown },
): Promise<unknown> {
  const handle = await client.workflow.start(ask.type, {
    workflowId: `${ask.type}-${randomBytes(6).toString('hex')}`,
    taskQueue,
    args: [ask.input],
  });
  try {
    return await awaitResult(client, handle, taskQueue, context);
  } catch (error) {
    const { failure } = failureOutcome(error);
    throw new CliError(failure.message, EXIT.failed, failure.next);
  }
}

export async function askLedgers(
  client: Client,
  context: Context,
  taskQueue: string,
  query: RunsQuery,
): Promise<readonly LedgerView[]> {
  const answer = await askWorker(client, context, taskQueue, { type: 'listRuns', input: query });
  return (answer as { ledgers: readonly LedgerView[] }).ledgers;
}

/** Says which ledgers could not be asked. */
export function reportProblems(ledgers: readonly LedgerView[], { screen: { err } }: Context): void {
  for (const { destination, problem } of ledgers) {
    if (problem !== undefined) err.prose(`${err.colors.yellow('! warning')}  ledger of ${destination}: ${problem}`);
  }
}

/** `unknown`: this Temporal has no workflow of its job's id, so that nothing can be said. */
export type Liveness = 'running' | 'ended' | 'unknown';

/** A table of it may still be loaded or published, by the ledger. */
export function isOpen({ states }: RunView): boolean {
  return (states.open ?? 0) + (states.publishing ?? 0) > 0;
}

/** Whether the workflow of a run that the ledger calls open is running: of a terminated one it says so for ever. */
export async function livenessOf(client: Client, { run, job }: RunView): Promise<Liveness> {
  const known = await describeIfKnown(client, job);
  if (known === undefined) return 'unknown';
  const { status, raw, runId } = known;
  if (status.name !== 'RUNNING') return 'ended';
  const info = raw.workflowExecutionInfo as { firstRunId?: string } | undefined;
  if (info?.firstRunId === run || runId === run) return 'running';
  // Another execution of that name: it may have resumed this run. Without an answer it is taken to have.
  const handle = client.workflow.getHandle(job);
  const progress = await withPatience(client, () => handle.query(jobProgress)).catch(() => undefined);
  return progress === undefined || progress.run === run ? 'running' : 'ended';
}
