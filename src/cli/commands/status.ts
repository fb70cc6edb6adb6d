import type { Client } from '@temporalio/client';
import { snapshotText, type JobPhase, type JobProgress, type SnapshotProgress } from '../../../workflows/messages.js';
import { progressJson } from '../conclude.js';
import type { Context } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { queryJob } from '../follow/ask.js';
import { jobPhaseLabel } from '../follow/phases.js';
import { jobTable, troubleLines } from '../follow/report.js';
import { timeTaken } from '../follow/view.js';
import { formatDuration, formatMoment } from '../format.js';
import type { Registry } from '../registry.js';
import { findJob, withClient } from '../temporal.js';

export function addStatus({ command, action }: Registry): void {
  command('status <name>', 'what a job does now, or how it ended', 'longhaul status nightly --json')
    .option('--json', 'as one JSON object')
    .action(
      action((context, name: string, options: { json?: boolean }) =>
        withClient(context, async (client) => {
          await showJob(client, context, name, options);
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
  if (progress.snapshot !== undefined) out.prose(snapshotLine(progress.snapshot, Date.now()));
  for (const warning of progress.warnings) out.line(`${out.colors.yellow('! warning')}  ${warning}`);
  if (tables.length > 0) out.line(`\n${jobTable(progress, out, Date.now())}`);
  const trouble = troubleLines(progress, out);
  if (trouble.length > 0) out.prose(['', ...trouble].join('\n'));
  const parked = tables.some((table) => table.parked.length > 0);
  if (!parked || ENDED.includes(phase)) return;
  err.line(`\nMend the cause, then:     ${hint('retry', name)}`);
  err.line(`Or go on without some:    ${hint('skip', name, 'TABLE/PARTITION')}`);
}

const ENDED: readonly JobPhase[] = ['complete', 'complete with rejects', 'complete with skips', 'failed', 'cancelled'];

/** `snapshot 1, held, vacuum held back for 1,234 transactions; taken 3 h 12 min ago: why it started over` */
function snapshotLine(snapshot: SnapshotProgress, now: number): string {
  const { state, takenAt, note } = snapshot;
  const held = state === 'held' && takenAt !== undefined;
  const taken = held ? `; taken ${formatDuration(now - Date.parse(takenAt))} ago` : '';
  return `${snapshotText(snapshot)}${taken}${note === undefined ? '' : `: ${note}`}`;
}
