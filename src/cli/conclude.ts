import { parkedCount, type JobProgress, type TableProgress } from '../../workflows/messages.js';
import { formatDuration, plural, rateOf } from './format.js';
import type { Context } from './context.js';
import { exitCodeOf, type Outcome } from './follow/outcome.js';
import { jobPhaseLabel } from './follow/phases.js';
import { jobTable, totalsOf, troubleLines } from './follow/report.js';
import { timeTaken } from './follow/view.js';
import type { Channel } from './screen.js';

/** How a job came out, for a person: table and outcome on standard output, failure and next steps on standard error. */
export function printOutcome(outcome: Outcome, context: Context, jobFile: string | undefined): void {
  const { out, err } = context.screen;
  const { progress } = outcome;
  if (out.tty) out.line();
  if (progress !== undefined && progress.tables.length > 0) {
    out.line(jobTable(progress, out, Date.now()));
    // The failure of a whole job lists its tables itself.
    const listed = 'failure' in outcome && outcome.failure.code === 'JobFailed';
    const trouble = listed ? [] : troubleLines(progress, out);
    if (trouble.length > 0) out.prose(['', ...trouble].join('\n'));
    out.line();
  }
  out.prose(headline(outcome, out));
  if ('failure' in outcome && outcome.kind === 'failed') err.prose(outcome.failure.message);
  for (const line of nextSteps(outcome, context, jobFile)) err.prose(line);
}

function headline({ kind, workflowId, progress }: Outcome, { colors }: Channel): string {
  const label = `${jobPhaseLabel(kind, colors)}  ${workflowId}`;
  const sum = progress === undefined ? '' : `: ${sentenceOf(progress)}`;
  const run = progress === undefined ? '' : `, run ${progress.run}`;
  if (kind === 'complete') return `${label}${sum}`;
  if (kind === 'complete with skips' || kind === 'complete with rejects') return `${label}${sum}; ${without(progress)}`;
  if (kind === 'waiting on parked') return `${label}: ${parkedSentence(progress)}`;
  return `${label}${run}`;
}

function sentenceOf(progress: JobProgress): string {
  const { rows } = totalsOf(progress.tables);
  const time = formatDuration(timeTaken(progress, Date.now()));
  return `${plural(rows, 'row')} in ${plural(progress.tables.length, 'table')}, ${time}`;
}

function without(progress: JobProgress | undefined): string {
  const tables = progress?.tables ?? [];
  const skipped = tables.reduce((sum, table) => sum + table.skipped, 0);
  const quarantined = tables.reduce((sum, table) => sum + (table.quarantined ?? 0), 0);
  return [
    ...(skipped > 0 ? [`${plural(skipped, 'partition')} skipped and not in the destination`] : []),
    ...(quarantined > 0 ? [`${plural(quarantined, 'row')} refused and set aside`] : []),
  ].join('; ');
}

function parkedSentence(progress: JobProgress | undefined): string {
  const parked = (progress?.tables ?? []).reduce((sum, table) => sum + parkedCount(table), 0);
  const verb = parked === 1 ? 'waits' : 'wait';
  return `${plural(parked, 'partition')} ${verb} for you, and all else is done. No table with one is visible yet.`;
}

function nextSteps(outcome: Outcome, { hint }: Context, jobFile = 'JOB.yaml'): string[] {
  const { kind, workflowId, progress } = outcome;
  if (kind === 'waiting on parked') {
    return [
      `Mend the cause, then:  ${hint('retry', workflowId)}`,
      `Or go on without one:  ${hint('skip', workflowId, firstParked(progress))}`,
      `Or give it up:         ${hint('cancel', workflowId)}`,
    ];
  }
  if (kind !== 'failed' && kind !== 'cancelled') return [];
  const told = outcome.failure.next === undefined ? [] : [outcome.failure.next];
  const resumable = (progress?.tables ?? []).some(({ committed }) => committed > 0);
  if (!resumable || progress === undefined || progress.discarded) return told;
  return [...told, `Go on with what is committed:\n  ${hint('run', jobFile, '--resume', progress.run)}`];
}

function firstParked(progress: JobProgress | undefined): string {
  const table = progress?.tables.find(({ parked }) => parked.length > 0);
  return table === undefined ? 'TABLE/17' : `${table.table}/${table.parked[0]!.label}`;
}

/** How a job came out, for a program: one object, stable. */
export function outcomeJson(outcome: Outcome): Record<string, unknown> {
  const { progress, workflowId, runId, kind } = outcome;
  return {
    workflowId,
    runId,
    outcome: kind,
    exitCode: exitCodeOf(outcome),
    ...(progress === undefined ? {} : progressJson(progress)),
    ...('failure' in outcome ? { failure: outcome.failure } : {}),
  };
}

export function progressJson(progress: JobProgress): Record<string, unknown> {
  const now = Date.now();
  const { rows, bytes } = totalsOf(progress.tables);
  const { run, name, phase, parallelism, snapshot, warnings, startedAt, endedAt, tables } = progress;
  return {
    ...{ run, name, phase, parallelism, rows, bytes },
    seconds: timeTaken(progress, now) / 1000,
    startedAt,
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(snapshot === undefined ? {} : { snapshot }),
    warnings,
    tables: tables.map((table) => tableJson(table, now)),
  };
}

function tableJson(table: TableProgress, now: number): Record<string, unknown> {
  const time = timeTaken(table, now);
  return { ...table, seconds: time / 1000, rowsPerSecond: Math.round(rateOf(table.rows, time) ?? 0) };
}
