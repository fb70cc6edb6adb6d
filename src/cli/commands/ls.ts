import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import type { LedgerView, RunView } from '../../core/activities.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { rejectsText, skippedText, textTable } from '../follow/report.js';
import { formatBytes, formatCount, formatMoment, plural } from '../format.js';
import { taskQueueOf } from '../job-input.js';
import { askLedgers, isOpen, livenessOf, reportProblems } from '../ledgers.js';
import type { Registry } from '../registry.js';
import { describeIfKnown, withClient } from '../temporal.js';
import { sizeText, statesText } from './clean.js';
import { listPartitions, unknownRun, type PartitionOptions } from './ls-partitions.js';

interface LsOptions extends PartitionOptions {
  readonly limit: string;
}

const MOST = 500;

export function addLs({ command, action }: Registry): void {
  command(
    'ls [run] [table]',
    'list runs, also those that only the ledger knows',
    'longhaul ls\nlonghaul ls 01a2… --json\n\nWith a run: all of its tables, and how to resume it or clean up after it.\n' +
      'With a table of it: rows and time of each partition.',
  )
    .option('--destination <connection>', 'only its ledger (default: wherever the worker finds one)')
    .option('--limit <count>', `the newest so many of each ledger, at most ${MOST}`, '20')
    .option('--task-queue <name>', 'the task queue of the workers (default: as longhaul.yaml says, or longhaul)')
    .option('--json', 'as a JSON list')
    .action(
      action((context, run: string | undefined, table: string | undefined, options: LsOptions) =>
        withClient(context, (client) => {
          if (run === undefined || table === undefined) return list(client, context, run, options);
          return listPartitions(client, context, { run, table }, options);
        }),
      ),
    );
}

/** A run as the ledger and Temporal together know it. Of a job that never opened a run, only what Temporal knows. */
export interface ListedRun extends Partial<RunView> {
  readonly destination?: string;
  readonly job: string;
  readonly startedAt: string;
  /** Of its workflow: `running`, `completed`, `failed` …; `gone`: this Temporal knows it no more. */
  readonly workflow: string;
}

async function list(client: Client, context: Context, run: string | undefined, options: LsOptions): Promise<number> {
  const limit = limitOf(options);
  const ledgers = await askLedgers(client, context, taskQueueOf(options.taskQueue, context), {
    ...(options.destination !== undefined && { destination: options.destination }),
    ...(run !== undefined && { run }),
    limit,
  });
  reportProblems(ledgers, context);
  const executions = run === undefined ? await latestJobs(client, limit) : [];
  const runs = await merge(client, ledgers, executions);
  if (run !== undefined && runs.length === 0) throw unknownRun(run, ledgers, context);
  const shown = run === undefined ? runs.slice(0, limit) : runs;
  const more = shown.length < runs.length || ledgers.some((ledger) => ledger.more);
  print(shown, { more, detailed: run !== undefined }, context, options);
  return EXIT.ok;
}

function limitOf({ limit }: LsOptions): number {
  const count = Number(limit);
  if (/^\d+$/.test(limit) && count >= 1 && count <= MOST) return count;
  throw new CliError(`--limit: "${limit}" is not a whole number from 1 to ${MOST}.`, EXIT.wrong);
}

async function latestJobs(client: Client, limit: number): Promise<WorkflowExecutionInfo[]> {
  const jobs: WorkflowExecutionInfo[] = [];
  for await (const job of client.workflow.list({ query: "WorkflowType = 'copyJob'", pageSize: limit })) {
    jobs.push(job);
    if (jobs.length === limit) break;
  }
  return jobs;
}

async function merge(
  client: Client,
  ledgers: readonly LedgerView[],
  executions: readonly WorkflowExecutionInfo[],
): Promise<ListedRun[]> {
  const known = ledgers.flatMap(({ destination, runs }) => runs.map((run) => ({ ...run, destination })));
  const own = (run: RunView) => executions.find(({ runId }) => runId === run.run);
  const listed = await Promise.all(
    known.map(async (run) => ({ ...run, workflow: await stateOf(client, run, own(run)) })),
  );
  const runs = new Set(known.map(({ run }) => run));
  const others = executions
    .filter(({ runId }) => !runs.has(runId))
    .map(({ workflowId, startTime, status }): ListedRun => ({
      ...{ job: workflowId, startedAt: startTime.toISOString(), workflow: status.name.toLowerCase() },
    }));
  return [...listed, ...others].sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
}

/** An open run is asked for by its job, which may have resumed it; of a closed one its own workflow tells how it ended. */
async function stateOf(client: Client, run: RunView, execution: WorkflowExecutionInfo | undefined): Promise<string> {
  if (!isOpen(run)) return execution?.status.name.toLowerCase() ?? (await endOf(client, run));
  const liveness = await livenessOf(client, run);
  return liveness === 'unknown' ? 'gone' : liveness;
}

/** How the run's own workflow ended, where it is not among the latest. */
async function endOf(client: Client, { run, job }: RunView): Promise<string> {
  return (await describeIfKnown(client, job, run))?.status.name.toLowerCase() ?? 'gone';
}

interface Shown {
  readonly more: boolean;
  readonly detailed: boolean;
}

function print(runs: readonly ListedRun[], { more, detailed }: Shown, context: Context, { json }: LsOptions): void {
  const { out, err } = context.screen;
  if (json) {
    out.line(JSON.stringify(runs, undefined, 2));
    return;
  }
  if (runs.length === 0) {
    err.line(`No run yet. Start one:  ${context.hint('run', 'job.yaml')}`);
    return;
  }
  const head = ['run', 'job', 'started', 'workflow', 'tables', 'rows', 'staging'].map((title) => out.colors.dim(title));
  out.line(textTable(head, runs.map(cells), 5));
  if (detailed) for (const run of runs) printTables(run, context);
  if (more) err.line(`There are older ones:  ${context.hint('ls', '--limit', String(MOST))}`);
  for (const line of nextSteps(runs, context, detailed)) err.prose(line);
}

function cells({
  run,
  job,
  startedAt,
  workflow,
  states,
  rows,
  skipped,
  quarantined,
  stagingBytes,
  forgottenAt,
}: ListedRun): string[] {
  const skips = skipped === undefined ? '' : `, ${plural(skipped, 'partition')} skipped`;
  const without = quarantined === undefined ? skips : `${skips}, ${plural(quarantined, 'reject')}`;
  const tables = states === undefined ? '' : `${statesText({ states } as RunView)}${without}`;
  return [
    ...[run ?? '', job, formatMoment(new Date(startedAt)), workflow],
    forgottenAt === undefined ? tables : `${tables}, cleaned`,
    rows === undefined ? '' : formatCount(rows),
    stagingBytes ? formatBytes(stagingBytes) : '',
  ];
}

function printTables({ tables = [], keptUntil }: ListedRun, { screen: { out } }: Context): void {
  const rows = tables.map(({ table, to, state, committed, partitions, rows: count, staging }) => [
    ...[table, to, state, partitions === undefined ? '' : `${formatCount(committed)}/${formatCount(partitions)}`],
    ...[formatCount(count), staging === undefined ? '' : sizeText(staging.bytes)],
  ]);
  const head = ['table', 'to', 'state', 'partitions', 'rows', 'staging'].map((title) => out.colors.dim(title));
  out.line(`\n${textTable(head, rows, 3)}`);
  for (const { table, visible } of tables) if (visible !== undefined) out.prose(`${table}: ${visible}`);
  for (const { table, skipped } of tables)
    if (skipped !== undefined) out.prose(`${table}: ${skippedText({ skipped })}`);
  for (const { table, quarantined } of tables)
    if (quarantined !== undefined) out.prose(`${table}: ${rejectsText({ quarantined })}`);
  if (keptUntil !== undefined) out.line(`Its staging is kept until ${formatMoment(new Date(keptUntil))}.`);
}

/** For one run what can be done with it; for a list how to see that. */
function nextSteps(runs: readonly ListedRun[], { hint }: Context, detailed: boolean): string[] {
  const left = runs.filter(
    ({ states = {}, workflow }) =>
      (states.suspended ?? 0) > 0 || ((states.open ?? 0) + (states.publishing ?? 0) > 0 && workflow !== 'running'),
  );
  if (left.length === 0) return [];
  const run = detailed ? left[0]!.run! : 'RUN';
  return [
    `Go on with a run that ended early:  ${hint('run', 'JOB.yaml', '--resume', run)}`,
    `Give it up:                         ${hint('clean', '--run', run)}`,
  ];
}
