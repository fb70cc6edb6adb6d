import { randomBytes } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { CheckReport } from '../../core/activities.js';
import type { Problem } from '../../core/errors.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { failureOutcome } from '../follow/outcome.js';
import { textTable } from '../follow/report.js';
import { awaitResult } from '../await-result.js';
import { plural } from '../format.js';
import { ALLOW_FEWER, readJobInput, taskQueueOf, type JobOptions } from '../job-input.js';
import type { Registry } from '../registry.js';
import type { Channel } from '../screen.js';
import { withClient } from '../temporal.js';

interface CheckOptions extends Pick<JobOptions, 'allowFewer'> {
  readonly json?: boolean;
  readonly taskQueue?: string;
}

export function addCheck({ command, action }: Registry): void {
  command(
    'check <job.yaml>',
    'say all that is wrong with a job',
    'longhaul check job.yaml\n\nExit code 0: nothing is wrong (there may be warnings), 2: something is.',
  )
    .option(...ALLOW_FEWER)
    .option('--task-queue <name>', 'the task queue of the workers (default: as longhaul.yaml says, or longhaul)')
    .option('--json', 'problems, warnings and tables as one JSON object')
    .action(action(check));
}

async function check(context: Context, file: string, options: CheckOptions): Promise<number> {
  const { raw, parsed } = await readJobInput(file, options);
  const { compiled, problems, warnings } = parsed;
  // What can't be understood at all needs no server to be refused; anything else is checked there, all at once.
  const report: CheckReport =
    compiled === undefined
      ? { problems, warnings, tables: [] }
      : await withClient(context, (client) => checkOnWorker(client, context, compiled.name, raw, options));
  if (options.json) context.screen.out.line(JSON.stringify(report, undefined, 2));
  else printReport(report, file, context);
  return report.problems.length > 0 ? EXIT.wrong : EXIT.ok;
}

/** Only workers have the connections, so the check is a small workflow. */
async function checkOnWorker(
  client: Client,
  context: Context,
  name: string,
  job: unknown,
  options: CheckOptions,
): Promise<CheckReport> {
  const taskQueue = taskQueueOf(options.taskQueue, context);
  const handle = await client.workflow.start('checkJob', {
    workflowId: `check-${name}-${randomBytes(4).toString('hex')}`,
    taskQueue,
    args: [{ job }],
    // Nobody waits for a check that is older than this.
    workflowExecutionTimeout: '1 hour',
  });
  try {
    return (await awaitResult(client, handle, taskQueue, context)) as CheckReport;
  } catch (error) {
    const { failure } = failureOutcome(error);
    throw new CliError(failure.message, failure.code === 'JobInvalid' ? EXIT.wrong : EXIT.failed, failure.next);
  }
}

function printReport(report: CheckReport, file: string, { screen, hint }: Context): void {
  const { problems, warnings, more = { problems: 0, warnings: 0 }, tables } = report;
  const { out, err } = screen;
  const { colors } = out;
  for (const problem of problems) out.prose(problemText(colors.red('✖ problem'), problem, out));
  sayMore(more.problems, 'problem', out);
  for (const warning of warnings) out.prose(problemText(colors.yellow('! warning'), warning, out));
  sayMore(more.warnings, 'warning', out);
  const problemCount = problems.length + more.problems;
  const warningCount = warnings.length + more.warnings;
  const warned = warningCount > 0 ? `, ${plural(warningCount, 'warning')}` : '';
  if (problemCount > 0) {
    const count = colors.bold(`${plural(problemCount, 'problem')}${warned}`);
    out.prose(`${file}: ${count}. Nothing was touched.`);
    return;
  }
  const rows = tables.map(({ table, to, mode, format }) => [table, to, mode, format]);
  if (rows.length > 0) {
    out.line(
      textTable(
        ['table', 'to', 'mode', 'format'].map((title) => colors.dim(title)),
        rows,
        4,
      ),
    );
  }
  out.prose(`${colors.green('✔ ok')}  ${file}: ${plural(tables.length, 'table')}${warned}. Nothing was touched.`);
  err.line(`Start it:  ${hint('run', file)}`);
}

function sayMore(count: number, noun: string, { line, colors }: Channel): void {
  if (count > 0) line(colors.dim(`… and ${plural(count, `more ${noun}`)}`));
}

/** As wide as the label before it, so that places and texts stand below each other. */
const INDENT = ' '.repeat(11);

/** The place, and on lines of their own what is wrong and what would be right. */
function problemText(label: string, { path, message, fix }: Problem, { colors }: Channel): string {
  const remedy = fix === undefined ? '' : `\n${INDENT}${colors.green('→')} ${fix}`;
  const text = message.replaceAll('\n', `\n${INDENT}`);
  return path === '' ? `${label}  ${text}${remedy}` : `${label}  ${colors.bold(path)}\n${INDENT}${text}${remedy}`;
}
