import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { jobInvalid, formatProblems } from '../../core/errors.js';
import type { CompiledJob } from '../../config/index.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import type { JobHandle } from '../follow/job-handle.js';
import { followOnScreen } from '../follow-on-screen.js';
import { plural, shortenText } from '../format.js';
import { ALLOW_FEWER, readJobInput, taskQueueOf, type JobInput, type JobOptions } from '../job-input.js';
import type { Registry } from '../registry.js';
import { withClient } from '../temporal.js';

interface RunOptions extends JobOptions {
  readonly id?: string;
  readonly detach?: boolean;
  readonly print?: boolean;
  readonly json?: boolean;
  readonly taskQueue?: string;
}

export function addRun({ command, action }: Registry): void {
  command(
    'run <job.yaml>',
    'start a job, and show how it goes',
    'longhaul run job.yaml\n' +
      'longhaul run job.yaml --print > job.json    # then, without Longhaul:\n' +
      'temporal workflow start --type copyJob --task-queue longhaul --workflow-id nightly --input-file job.json',
  )
    .option('--id <workflow>', "the workflow's id (default: the job's name)")
    .option('--detach', 'start the job and return at once')
    .option(
      '--resume <run>',
      'take over a run that ended early, as `ls` names it: what it committed is not copied again',
    )
    .option(...ALLOW_FEWER)
    .option('--print', 'start nothing; write the JSON that `temporal workflow start` takes')
    .option('--task-queue <name>', 'the task queue of the workers (default: as longhaul.yaml says, or longhaul)')
    .option('--json', 'the result as one JSON object')
    .action(action(run));
}

async function run(context: Context, file: string, options: RunOptions): Promise<number> {
  const { out, err } = context.screen;
  const input = await readJobInput(file, options);
  const { problems, warnings, compiled } = input.parsed;
  if (problems.length > 0 || compiled === undefined) throw jobInvalid(problems);
  if (warnings.length > 0) err.line(`${err.colors.yellow('! warning')}  ${formatProblems(warnings)}`);
  if (options.print) {
    out.line(JSON.stringify(input.raw, undefined, 2));
    return EXIT.ok;
  }
  return withClient(context, async (client) => {
    const job = await start(client, context, input.raw, compiled, options);
    return options.detach
      ? detached(context, job, options)
      : followOnScreen(job, context, { ...options, jobFile: file });
  });
}

async function start(
  client: Client,
  context: Context,
  raw: JobInput['raw'],
  compiled: CompiledJob,
  { id, taskQueue: queueOption }: RunOptions,
): Promise<JobHandle> {
  const workflowId = id ?? compiled.name;
  const taskQueue = taskQueueOf(queueOption, context);
  try {
    const handle = await client.workflow.start('copyJob', {
      workflowId,
      taskQueue,
      args: [raw],
      // The same job runs every night under the same name; two at once are refused.
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: summaryOf(compiled),
    });
    return { client, handle, workflowId, runId: handle.firstExecutionRunId, taskQueue };
  } catch (error) {
    throw error instanceof WorkflowExecutionAlreadyStartedError ? alreadyRunning(workflowId, context) : error;
  }
}

function alreadyRunning(workflowId: string, { hint }: Context): CliError {
  const next =
    `Follow it:                 ${hint('watch', workflowId)}\n` +
    `End it:                    ${hint('cancel', workflowId)}\n` +
    `Start this one beside it:  ${hint('run', 'JOB.yaml', '--id', `${workflowId}-2`)}`;
  return new CliError(`A workflow "${workflowId}" is running already; nothing was started.`, EXIT.failed, next);
}

/** Bytes of Temporal's limit on a summary, with room for what isn't ASCII. */
const SUMMARY_LENGTH = 180;

/** `shop → warehouse: public.orders, sales.*`: names only, as everywhere in history. */
export function summaryOf({ source, destination, entries }: CompiledJob): string {
  const names = entries.map((entry) => (entry.kind === 'relation' ? entry.from : (entry.table ?? 'a list of queries')));
  const listed = names.length <= 4 ? names.join(', ') : plural(names.length, 'table entry', 'table entries');
  return shortenText(`${source} → ${destination}: ${listed}`, SUMMARY_LENGTH);
}

function detached(context: Context, { workflowId, runId, taskQueue }: JobHandle, { json }: RunOptions): number {
  const { out, err } = context.screen;
  out.line(
    json ? JSON.stringify({ workflowId, runId, taskQueue }, undefined, 2) : `Started ${workflowId}, run ${runId}`,
  );
  err.line(`Follow it:  ${context.hint('watch', workflowId)}`);
  return EXIT.ok;
}
