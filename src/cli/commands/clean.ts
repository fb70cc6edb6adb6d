import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { jobProgress } from '../../../workflows/messages.js';
import { awaitResult } from '../await-result.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { failureOutcome } from '../follow/outcome.js';
import { taskQueueOf } from '../job-input.js';
import type { Registry } from '../registry.js';
import { withClient } from '../temporal.js';

interface CleanOptions {
  readonly run: string;
  readonly destination: string;
  readonly taskQueue?: string;
}

export function addClean({ command, action }: Registry): void {
  command(
    'clean',
    'give up a run: remove its staging, free its targets',
    'longhaul clean --run 01a2… --destination warehouse\n\n' +
      'For a run that ended without publishing everything and is not to be resumed. Published tables stay.',
  )
    .requiredOption('--run <run>', 'the run, as `status` and the ledger name it')
    .requiredOption('--destination <connection>', 'the connection that it wrote to')
    .option('--task-queue <name>', 'the task queue of the workers (default: as longhaul.yaml says, or longhaul)')
    .action(
      action((context, options: CleanOptions) => withClient(context, (client) => clean(client, context, options))),
    );
}

async function clean(
  client: Client,
  context: Context,
  { run, destination, ...options }: CleanOptions,
): Promise<number> {
  await refuseUnderWay(client, context, run);
  const taskQueue = taskQueueOf(options.taskQueue, context);
  const handle = await client.workflow.start('cleanRun', {
    workflowId: `clean-${run}-${randomBytes(4).toString('hex')}`,
    taskQueue,
    args: [{ run, destination }],
  });
  try {
    await awaitResult(client, handle, taskQueue, context);
  } catch (error) {
    const { failure } = failureOutcome(error);
    throw new CliError(failure.message, EXIT.failed, failure.next);
  }
  const { out } = context.screen;
  out.prose(
    `${out.colors.green('✔ cleaned')}  run ${run}: what it had not published is gone, and its targets are free.`,
  );
  return EXIT.ok;
}

/** A job under way may be one that resumed the run, so each is asked. */
async function refuseUnderWay(client: Client, context: Context, run: string): Promise<void> {
  const running = client.workflow.list({ query: "WorkflowType = 'copyJob' AND ExecutionStatus = 'Running'" });
  for await (const { workflowId, runId } of running) {
    const progress = await client.workflow.getHandle(workflowId, runId).query(jobProgress);
    if (progress.run !== run) continue;
    const next = `End it first:  ${context.hint('cancel', workflowId)}`;
    throw new CliError(`Run ${run} is under way as job "${workflowId}"; nothing was removed.`, EXIT.failed, next);
  }
}
