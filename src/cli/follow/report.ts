import Table from 'cli-table3';
import type { JobProgress, TableProgress } from '../../../workflows/messages.js';
import { formatBytes, formatCount, formatDuration, plural, rateOf, shortenName, shortenText } from '../format.js';
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

/** One line a table, and the totals: what the job came to. */
export function jobTable(progress: JobProgress, look: Look, now: number): string {
  const { colors } = look;
  const wide = look.width() >= WIDE;
  const nameWidth = wide ? 40 : 22;
  const numbers = wide
    ? ['rows', 'bytes', 'partitions', 'retries', 'time', 'rows/s']
    : ['rows', 'bytes', 'parts', 'retries', 'time', 'rows/s'];
  const head = ['table', ...(wide ? ['state'] : []), ...numbers].map((title) => colors.dim(title));
  const rows = progress.tables.map((table) => [
    nameCell(table, nameWidth, colors),
    ...(wide ? [phaseLabel(table, colors)] : []),
    ...numberCells(table, timeTaken(table, now)),
  ]);
  const total = ['total', ...(wide ? [''] : []), ...numberCells(totalsOf(progress.tables), timeTaken(progress, now))];
  return textTable(head, [...rows, total.map((cell) => colors.bold(cell))], wide ? 2 : 1);
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

/** Every table that isn't published, with why; and every parked partition with its last error. */
export function troubleLines(progress: JobProgress, { width, colors }: Look): string[] {
  return progress.tables.flatMap((table) => [
    ...(table.phase === 'published' ? [] : [`${phaseLabel(table, colors)}  ${table.table}${noteOf(table)}`]),
    ...table.parked
      .map(({ label, code, error }) =>
        shortenText(`${table.table} ${label}: ${code}: ${error}`, Math.max(width() * 2, 160)),
      )
      .map((line) => `    ${line}`),
  ]);
}

function noteOf(table: TableProgress): string {
  if (table.parked.length > 0) return `: ${plural(table.parked.length, 'parked partition')}`;
  return table.note === undefined ? '' : `: ${table.note}`;
}
