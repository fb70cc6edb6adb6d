import { bounded } from '../src/core/text.js';
import {
  parkedCount,
  snapshotText,
  type JobProgress,
  type SnapshotProgress,
  type ParkedPartition,
  type TablePhase,
  type TableProgress,
} from './messages.js';

/** Current details in the web UI: Markdown, of bounded size whatever the job. */

const MAX_TABLES = 50;
const MAX_PARKED_GROUPS = 20;
const MAX_NOTE = 160;
const HEADS = ['table', 'state', 'partitions', 'rows', 'retries', 'waits for'];
/** The web UI puts the columns of a table side by side without a gap; no-break spaces make one. */
const GAP = '\u00a0\u00a0\u00a0';
/** Tables that a person looks for first. */
const URGENCY: Record<TablePhase, number> = {
  failed: 0,
  'waiting on parked': 1,
  'waiting for connection': 2,
  cancelled: 3,
  copying: 4,
  building: 4,
  verifying: 4,
  publishing: 4,
  preparing: 4,
  queued: 5,
  published: 6,
};
const LEVELS = [0, 1, 2, 3, 4, 5, 6];

export function jobDetails(progress: JobProgress): string {
  const { phase, parallelism, tables, warnings, snapshot } = progress;
  const published = tables.filter((table) => table.phase === 'published').length;
  const shown = LEVELS.flatMap((level) => tables.filter((table) => URGENCY[table.phase] === level)).slice(
    0,
    MAX_TABLES,
  );
  const more = tables.length - shown.length;
  return [
    `**${phase}** · ${published} of ${tables.length} tables published · parallelism ${parallelism}`,
    ...(snapshot === undefined ? [] : ['', snapshotLine(snapshot)]),
    '',
    `| ${HEADS.map((head) => `${head}${GAP}`).join(' | ')} |`,
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...shown.map(tableRow),
    ...(more > 0 ? ['', `and ${number(more)} more`] : []),
    ...(warnings.length > 0 ? ['', ...warnings.slice(0, 10).map((each) => `- warning: ${cell(each)}`)] : []),
  ].join('\n');
}

function snapshotLine(snapshot: SnapshotProgress): string {
  const { takenAt, note } = snapshot;
  const taken = takenAt === undefined ? '' : ` · taken ${takenAt}`;
  return `${snapshotText(snapshot)}${taken}${note === undefined ? '' : ` · ${cell(note)}`}`;
}

function tableRow(table: TableProgress): string {
  const cells = [table.table, table.phase, partitionsOf(table), rowsOf(table), number(table.retries), waitsFor(table)];
  return `| ${cells.map((text) => `${cell(text)}${GAP}`).join(' | ')} |`;
}

function partitionsOf({ committed, skipped, partitions }: TableProgress): string {
  if (partitions === undefined) return '';
  const without = skipped === 0 ? '' : ` (${number(skipped)} skipped)`;
  return `${number(committed + skipped)}/${number(partitions)}${without}`;
}

function rowsOf({ rows, quarantined = 0 }: TableProgress): string {
  return quarantined === 0 ? number(rows) : `${number(rows)} (${number(quarantined)} set aside)`;
}

function waitsFor(table: TableProgress): string {
  if (table.note !== undefined) return table.note;
  if (table.phase === 'queued') return 'a free slot';
  const parked = parkedCount(table);
  return parked > 0 ? `${number(parked)} parked` : '';
}

export function tableDetails(table: TableProgress): string {
  const { phase, to, running, slots, retries, parked, note, warning, plan } = table;
  return [
    `**${phase}** · ${partitionsOf(table) || '?'} partitions · ${rowsOf(table)} rows → ${cell(to)}`,
    '',
    `${running} running in ${slots} slots · ${number(retries)} retries · ${parked.length} parked`,
    ...(note === undefined ? [] : ['', cell(note)]),
    ...(warning === undefined ? [] : ['', `warning: ${cell(warning)}`]),
    ...(plan === undefined ? [] : ['', `Plan: ${cell(plan)}`]),
    ...(parked.length === 0
      ? []
      : [
          '',
          ...parkedLines(parked)
            .slice(0, MAX_PARKED_GROUPS)
            .map((line) => `- ${cell(line)}`),
        ]),
  ].join('\n');
}

/** One line for each different error, naming its partitions: `3/8, 5/8: DataRejected: …`. */
export function parkedLines(parked: readonly ParkedPartition[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { label, code, error } of parked) {
    const key = `${code}: ${error}`;
    groups.set(key, [...(groups.get(key) ?? []), label]);
  }
  return [...groups].map(([error, labels]) => `${labels.join(', ')}: ${error}`);
}

function cell(text: string): string {
  return bounded(text.replace(/[\r\n]+/g, ' ').replaceAll('|', '\\|'), MAX_NOTE);
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
