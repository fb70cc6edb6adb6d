import Table from 'cli-table3';
import {
  parkedCount,
  type JobProgress,
  type ParkedPartition,
  type TablePhase,
  type TableProgress,
} from '../../../workflows/messages.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  rateOf,
  shortenName,
  shortenText,
  shownLength,
} from '../format.js';
import type { Channel, Colors } from '../screen.js';
import { phaseLabel } from './phases.js';
import { timeTaken } from './view.js';

type Look = Pick<Channel, 'width' | 'colors'>;

/** Columns at which a table's state has room beside its numbers. */
const WIDE = 100;

const NO_BORDERS = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};

/** A table of texts without borders; the first column is names, the others are numbers, unless said otherwise. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
  const table = new Table({
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    colAligns: head.map((_, index) => (index < left ? 'left' : 'right')),
  });
  table.push([...head], ...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const NAME_WIDTH = { least: 12, most: 44 };

/** One line a table, and the totals: what the job came to. Names are shortened until it fits. */
export function jobTable(progress: JobProgress, look: Look, now: number): string {
  const full = renderJobTable(progress, look, now, NAME_WIDTH.most);
  const names = Math.min(NAME_WIDTH.most, Math.max(...progress.tables.map(({ table }) => table.length)));
  const excess = Math.max(...full.split('\n').map((line) => shownLength(line))) - look.width();
  if (excess <= 0) return full;
  return renderJobTable(progress, look, now, Math.max(NAME_WIDTH.least, names - excess));
}

function renderJobTable(progress: JobProgress, look: Look, now: number, nameWidth: number): string {
  const { colors } = look;
  const wide = look.width() >= WIDE;
  const parts = wide ? 'partitions' : 'parts';
  const head = ['table', ...(wide ? ['state'] : []), 'rows', 'bytes', parts, 'retries', 'time', 'rows/s'];
  const rows = progress.tables.map((table) => [
    nameCell(table, nameWidth, colors),
    ...(wide ? [phaseLabel(table, colors)] : []),
    ...numberCells(table, timeTaken(table, now)),
  ]);
  const total = ['total', ...(wide ? [''] : []), ...numberCells(totalsOf(progress.tables), timeTaken(progress, now))];
  return textTable(
    head.map((title) => colors.dim(title)),
    [...rows, total.map((cell) => colors.bold(cell))],
    wide ? 2 : 1,
  );
}

function nameCell(table: TableProgress, width: number, colors: Colors): string {
  const name = shortenName(table.table, width);
  return table.phase === 'failed' ? colors.red(name) : name;
}

type Numbers = Pick<TableProgress, 'rows' | 'bytes' | 'committed' | 'partitions' | 'retries'>;

function numberCells({ rows, bytes, committed, partitions, retries }: Numbers, time: number): string[] {
  const rate = rateOf(rows, time);
  return [
    formatCount(rows),
    formatBytes(bytes),
    partitions === undefined || partitions === committed
      ? formatCount(committed)
      : `${formatCount(committed)}/${formatCount(partitions)}`,
    formatCount(retries),
    formatDuration(time),
    rate === undefined ? '' : formatCount(rate),
  ];
}

export function totalsOf(tables: readonly TableProgress[]): Numbers {
  const sum = (of: (table: TableProgress) => number) => tables.reduce((total, table) => total + of(table), 0);
  return {
    rows: sum(({ rows }) => rows),
    bytes: sum(({ bytes }) => bytes),
    committed: sum(({ committed }) => committed),
    partitions: sum(({ partitions }) => partitions ?? 0),
    retries: sum(({ retries }) => retries),
  };
}

/** Parked partitions that are listed of a table; the others are counted. */
const LISTED = 10;

/** Tables that need a person, with why and their parked partitions' last errors; of the other unpublished ones how many there are. */
export function troubleLines(progress: JobProgress, { colors }: Look): string[] {
  const quiet: readonly TablePhase[] = ['queued', 'cancelled'];
  const lines = progress.tables.flatMap((table) => {
    if (quiet.includes(table.phase)) return [];
    const skipped = table.skipped === 0 ? [] : [colors.yellow(`! skipped  ${table.table}: ${skippedText(table)}`)];
    const state = table.phase === 'published' ? [] : [`${phaseLabel(table, colors)}  ${table.table}${noteOf(table)}`];
    const warning = table.warning === undefined ? [] : [colors.yellow(`! warning  ${table.table}: ${table.warning}`)];
    const parked = table.parked.slice(0, LISTED).map((each) => `    ${table.table} ${parkedText(each)}`);
    const more = parkedCount(table) - parked.length;
    const rejected = table.quarantined ? [colors.yellow(`! rejects  ${table.table}: ${rejectsText(table)}`)] : [];
    const where = rejectsPlace(table, progress.run);
    const visible = table.visible === undefined ? [] : [`    ${table.visible}`];
    return [
      ...state,
      ...skipped,
      ...rejected,
      ...(where === undefined ? [] : [`    ${where}`]),
      ...warning,
      ...visible,
      ...parked,
      ...(more > 0 ? [`    … and ${formatCount(more)} more (--json lists all)`] : []),
    ];
  });
  const counts = quiet.map((phase) => ({
    phase,
    count: progress.tables.filter((table) => table.phase === phase).length,
  }));
  const counted = counts.filter(({ count }) => count > 0);
  return [
    ...lines,
    ...counted.map(({ phase, count }) => `${phaseLabel({ phase }, colors)}  ${plural(count, 'table')}`),
  ];
}

/** `2 partitions skipped and not in the target` */
export function skippedText({ skipped }: Pick<TableProgress, 'skipped'>): string {
  return `${plural(skipped, 'partition')} skipped and not in the target`;
}

/** `12 rows refused and set aside` */
export function rejectsText({ quarantined = 0 }: { readonly quarantined?: number }): string {
  return `${plural(quarantined, 'row')} refused and set aside`;
}

/** The statement that shows the rows that were set aside, once it is known where they are. */
function rejectsPlace({ table, rejectsTable }: TableProgress, run: string): string | undefined {
  if (rejectsTable === undefined) return undefined;
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  return `SELECT * FROM ${rejectsTable} WHERE run = ${quoted(run)} AND table_name = ${quoted(table)} ORDER BY partition, number`;
}

/** `17/100: DataRejected: the last error` */
export function parkedText({ label, code, error }: ParkedPartition): string {
  return `${label}: ${code}: ${shortenText(error, MOST_OF_AN_ERROR)}`;
}

/** Characters of a partition's last error in a list. */
const MOST_OF_AN_ERROR = 300;

function noteOf(table: TableProgress): string {
  if (table.parked.length > 0) return `: ${plural(parkedCount(table), 'parked partition')}`;
  return table.note === undefined ? '' : `: ${table.note}`;
}
