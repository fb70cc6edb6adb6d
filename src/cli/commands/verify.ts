import { randomBytes } from 'node:crypto';
import { InvalidArgumentError } from 'commander';
import type { Client } from '@temporalio/client';
import type { VerifyReport } from '../../../workflows/verify-job.js';
import { awaitResult } from '../await-result.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { failureOutcome } from '../follow/outcome.js';
import { taskQueueOf } from '../job-input.js';
import type { Registry } from '../registry.js';
import { startOf } from '../../worker/job-start.js';
import { findJob, withClient } from '../temporal.js';
import { printVerification, skippedOf } from '../verification.js';

interface VerifyOptions {
  readonly run?: string;
  readonly destination?: string;
  readonly parallelism: number;
  readonly keys: number;
  readonly taskQueue?: string;
  readonly json?: boolean;
}

export function addVerify({ command, action }: Registry): void {
  command(
    'verify <name> [tables...]',
    'compare what a job copied with source and target now',
    'longhaul verify nightly public.orders\n\n' +
      'Reads every row on both sides. Says which side changed since the copy, in which\n' +
      'partitions. Keys of some rows that differ are kept at the destination, in the\n' +
      "ledger's table differences: the statement that shows them is printed.\n" +
      'Exit code 0: all equal, 1: not, or not compared, 2: no such job, run or table,\n' +
      '4: all equal but partitions that were skipped, which are not compared.\n' +
      'Where Temporal has forgotten the job, name its run by --run and --destination; <name>\n' +
      'is then only a label.',
  )
    .option('--run <run>', 'a run of the job, as `status` and the ledger name it (default: the latest)')
    .option('--destination <connection>', "the connection that the run wrote to (default: the job's)")
    .option('--parallelism <count>', 'parts compared at once, each with a session on both sides', whole(1, 1_000), 2)
    .option('--keys <count>', 'rows of a differing partition whose keys are kept', whole(0, 1_000), 20)
    .option('--task-queue <name>', 'the task queue of the workers (default: as longhaul.yaml says, or longhaul)')
    .option('--json', 'the comparison as one JSON object')
    .action(
      action((context, name: string, tables: string[], options: VerifyOptions) =>
        withClient(context, (client) => verify(client, context, { name, tables, options })),
      ),
    );
}

function whole(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

interface Wanted {
  readonly name: string;
  readonly tables: readonly string[];
  readonly options: VerifyOptions;
}

async function verify(client: Client, context: Context, wanted: Wanted): Promise<number> {
  const { name, tables, options } = wanted;
  const { run, destination } = await runOf(client, context, wanted);
  const { parallelism, keys } = options;
  const taskQueue = taskQueueOf(options.taskQueue, context);
  const handle = await client.workflow.start('verifyJob', {
    workflowId: `verify-${name}-${randomBytes(4).toString('hex')}`,
    taskQueue,
    args: [{ run, destination, parallelism, keys, ...(tables.length > 0 && { tables }) }],
  });
  if (!options.json) tellStart(context, run, handle.workflowId);
  const report = await resultOf(async () => (await awaitResult(client, handle, taskQueue, context)) as VerifyReport);
  if (options.json) context.screen.out.line(JSON.stringify(report, undefined, 2));
  else printVerification(name, report, context.screen);
  if (!report.equal) return EXIT.failed;
  return skippedOf(report) === 0 ? EXIT.ok : EXIT.skips;
}

/** It may take as long as the copy did. */
function tellStart({ screen: { err } }: Context, run: string, workflowId: string): void {
  err.prose(`Comparing run ${run} with source and target, as workflow ${workflowId}. Ctrl-C ends it.`);
}

async function resultOf(result: () => Promise<VerifyReport>): Promise<VerifyReport> {
  try {
    return await result();
  } catch (error) {
    const { failure } = failureOutcome(error);
    throw new CliError(failure.message, failure.code === 'JobInvalid' ? EXIT.wrong : EXIT.failed, failure.next);
  }
}

function byRun({ hint }: Context, name: string): string {
  return `A run is found without its job:  ${hint('verify', name, '--run', 'RUN', '--destination', 'CONNECTION')}`;
}

/** As given, or as the job's latest execution was started. */
async function runOf(
  client: Client,
  context: Context,
  { name, options: { run, destination } }: Wanted,
): Promise<{ run: string; destination: string }> {
  if (run !== undefined && destination !== undefined) return { run, destination };
  const start = await startOf(client, await findJob(client, context, name, byRun(context, name)));
  const found = { run: run ?? start.run, destination: destination ?? start.destination };
  if (found.destination !== undefined) return { run: found.run, destination: found.destination };
  throw new CliError(`Job "${name}" was started without a destination.`, EXIT.wrong, 'Name it: --destination.');
}
