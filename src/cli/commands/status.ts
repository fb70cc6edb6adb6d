import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import type { JobPhase, JobProgress } from '../../../workflows/messages.js';
import { progressJson } from '../conclude.js';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { queryJob } from '../follow/ask.js';
import { jobPhaseLabel } from '../follow/phases.js';
import { jobTable, textTable, troubleLines } from '../follow/report.js';
import { timeTaken } from '../follow/view.js';
import { formatDuration, formatMoment, plural } from '../format.js';
import type { Registry } from '../registry.js';
import { findJob, withClient } from '../temporal.js';

/** Jobs that are listed, the newest first. */
const LISTED = 20;

export function addStatus({ command, action }: Registry): void {
  command(
    'status [name]',
    'what a job does now; or list the latest jobs',
    'longhaul status\nlonghaul status nightly --json',
  )
    .option('--json', 'as JSON: one object, or a list without a name')
    .action(
      action((context, name: string | undefined, options: { json?: boolean }) =>
        withClient(context, async (client) => {
          if (name === undefined) await listJobs(client, context, options);
          else await showJob(client, context, name, options);
          return EXIT.ok;
        }),
      ),
    );
}

async function showJob(client: Client, context: Context, name: string, { json }: { json?: boolean }): Promise<void> {
  const job = await findJob(client, context, name);
  const { status, runId, startTime } = await job.handle.describe();
  const progress = await queryJob(job).catch(() => undefined);
  const { out, err } = context.screen;
  const state = status.name.toLowerCase();
  if (json) {
    const known = progress === undefined ? {} : progressJson(progress);
    out.line(JSON.stringify({ workflowId: name, runId, status: state, ...known }, undefined, 2));
  } else if (progress === undefined) {
    out.line(`${name}  ${state}, run ${runId}, started ${formatMoment(startTime)}`);
  } else {
    printJob(name, progress, context);
  }
  if (progress !== undefined) return;
  err.line(
    `No worker answers on task queue "${job.taskQueue}", so no more is known. Start one:  ${context.hint('worker')}`,
  );
}

function printJob(name: string, progress: JobProgress, { screen, hint }: Context): void {
  const { out, err } = screen;
  const { phase, run, startedAt, parallelism, tables } = progress;
  out.line(`${out.colors.bold(name)}  ${jobPhaseLabel(phase, out.colors)}`);
  const time = formatDuration(timeTaken(progress, Date.now()));
  out.prose(`run ${run}, started ${formatMoment(new Date(startedAt))}, ${time}, parallelism ${parallelism}`);
  for (const warning of progress.warnings) out.line(`${out.colors.yellow('! warning')}  ${warning}`);
  if (tables.length > 0) out.line(`\n${jobTable(progress, out, Date.now())}`);
  const trouble = troubleLines(progress, out);
  if (trouble.length > 0) out.prose(['', ...trouble].join('\n'));
  const parked = tables.some((table) => table.parked.length > 0);
  if (parked && !ENDED.includes(phase)) err.line(`\nMend the cause, then:  ${hint('retry', name)}`);
}

const ENDED: readonly JobPhase[] = ['complete', 'complete with skips', 'failed', 'cancelled'];

async function listJobs(client: Client, { screen, hint }: Context, { json }: { json?: boolean }): Promise<void> {
  const { out, err } = screen;
  const jobs: WorkflowExecutionInfo[] = [];
  for await (const job of client.workflow.list({ query: "WorkflowType = 'copyJob'", pageSize: LISTED })) {
    jobs.push(job);
    if (jobs.length === LISTED) break;
  }
  if (json) {
    out.line(JSON.stringify(jobs.map(jobJson), undefined, 2));
    return;
  }
  if (jobs.length === 0) {
    err.line(`No job yet. Start one:  ${hint('run', 'job.yaml')}`);
    return;
  }
  const rows = jobs.map(({ workflowId, status, startTime, closeTime, runId }) => [
    workflowId,
    status.name.toLowerCase(),
    formatMoment(startTime),
    formatDuration((closeTime ?? new Date()).getTime() - startTime.getTime()),
    runId,
  ]);
  out.line(
    textTable(
      ['job', 'state', 'started', 'time', 'run'].map((title) => out.colors.dim(title)),
      rows,
      5,
    ),
  );
  if (jobs.length === LISTED)
    err.line(`The latest ${plural(LISTED, 'job')}; older ones:  ${hint('temporal', 'workflow', 'list')}`);
}

function jobJson({ workflowId, runId, status, startTime, closeTime }: WorkflowExecutionInfo): Record<string, unknown> {
  return {
    workflowId,
    runId,
    status: status.name.toLowerCase(),
    startedAt: startTime.toISOString(),
    ...(closeTime === undefined ? {} : { endedAt: closeTime.toISOString() }),
  };
}
