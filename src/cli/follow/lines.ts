import { parkedCount, snapshotText, type TableProgress } from '../../../workflows/messages.js';
import { formatBytes, formatClock, formatCount, formatDuration, plural } from '../format.js';
import type { Channel } from '../screen.js';
import type { Observer } from './follow.js';
import { Pace } from './pace.js';
import { plainPhaseLabel } from './phases.js';
import { parkedText, rejectsText, skippedText } from './report.js';
import { isRunning, rowsSeen, timeTaken, type JobView, type TableView } from './view.js';

/** Milliseconds between two summaries where there is no terminal. */
const SUMMARY_PERIOD = 30_000;

/** What is new in a table since the last look, one line each: its phase, and partitions that parked. */
export function tableNews(before: TableProgress | undefined, now: TableProgress, at: number): string[] {
  const news: string[] = [];
  if (before?.phase !== now.phase && now.phase !== 'queued') {
    news.push(`${plainPhaseLabel(now)}  ${now.table}${phaseDetail(now, at)}`);
  }
  const known = new Set(before?.parked.map(({ ordinal }) => ordinal));
  for (const parked of now.parked) {
    if (!known.has(parked.ordinal)) news.push(`‖ parked  ${now.table} ${parkedText(parked)}`);
  }
  if (now.skipped > (before?.skipped ?? 0) && now.phase !== 'published')
    news.push(`! skipped  ${now.table}: ${skippedText(now)}`);
  return news;
}

function phaseDetail(table: TableProgress, at: number): string {
  switch (table.phase) {
    case 'copying':
      return copyingDetail(table);
    case 'published':
      return `: ${formatCount(table.rows)} rows, ${formatBytes(table.bytes)}, in ${formatDuration(timeTaken(table, at))}${withoutDetail(table)}`;
    case 'waiting on parked':
      return `: ${plural(parkedCount(table), 'parked partition')}`;
    default:
      return table.note === undefined ? '' : `: ${table.note}`;
  }
}

function withoutDetail(table: TableProgress): string {
  const skipped = table.skipped === 0 ? '' : `; ${skippedText(table)}`;
  return table.quarantined ? `${skipped}; ${rejectsText(table)}` : skipped;
}

function copyingDetail({ partitions, estimatedRows }: TableProgress): string {
  if (partitions === undefined) return '';
  const rows = estimatedRows === undefined ? '' : `, about ${formatCount(estimatedRows)} rows`;
  return `: ${plural(partitions, 'partition')}${rows}`;
}

/** `3 of 5 tables published · 12,345,678 rows · 184,000 rows/s · about 3 min 05 s left` */
export function summaryLine(view: JobView, pace: Pace): string {
  const { tables } = view;
  const rows = tables.reduce((sum, table) => sum + rowsSeen(table), 0);
  const published = tables.filter(({ phase }) => phase === 'published').length;
  const rate = tables.filter(isRunning).reduce((sum, { table }) => sum + (pace.rate(table) ?? 0), 0);
  const left = pace.timeLeft(tables.filter((table) => isRunning(table) || table.phase === 'queued'));
  return [
    `${published} of ${plural(tables.length, 'table')} published`,
    ...(view.job.snapshot === undefined ? [] : [snapshotText(view.job.snapshot)]),
    `${formatCount(rows)} rows`,
    ...(rate > 0 ? [`${formatCount(rate)} rows/s`] : []),
    ...(left === undefined || left === 0 ? [] : [`about ${formatDuration(left)} left`]),
  ].join(' · ');
}

/** Progress where there is no terminal: a line at each change of state, and a summary every 30 s. */
export class LineObserver implements Observer {
  readonly #pace = new Pace();
  #before = new Map<string, TableView>();
  #lastSummary: number | undefined;

  constructor(private readonly channel: Channel) {}

  look(view: JobView): void {
    this.#pace.record(view);
    for (const table of view.tables) {
      for (const line of tableNews(this.#before.get(table.table), table, view.at)) this.notice(line);
    }
    this.#before = new Map(view.tables.map((table) => [table.table, table]));
    this.#lastSummary ??= view.at;
    if (view.at - this.#lastSummary < SUMMARY_PERIOD) return;
    this.#lastSummary = view.at;
    this.notice(summaryLine(view, this.#pace));
    for (const table of view.tables.filter(isRunning)) this.notice(runningLine(table));
  }

  notice(text: string): void {
    this.channel.line(`${formatClock(new Date())} ${text}`);
  }
}

function runningLine(table: TableView): string {
  const { committed, partitions, running, retries } = table;
  const counts = partitions === undefined ? '' : `: ${formatCount(committed)}/${formatCount(partitions)} partitions`;
  const now = counts === '' ? '' : `, ${formatCount(running)} running, ${plural(retries, 'retry', 'retries')}`;
  return `  ${plainPhaseLabel(table)}  ${table.table}${counts}${now}`;
}
