import Table from 'cli-table3';
import type { JobProgress, TableProgress } from '../../../workflows/messages.js';
import type { Difference } from '../compare.js';

/** What became of one table, by the job's word and by a look at every row. */
export interface TableResult extends Difference {
  readonly table: string;
  readonly read: number;
  readonly partitions: number;
  readonly attempts: number;
  readonly seconds: number;
}

export const count = (value: number): string => value.toLocaleString('en-US');

/** Puts what a comparison finds beside what the job says, table for table. */
export async function tableResults(
  report: JobProgress,
  compare: (table: TableProgress) => Promise<Difference>,
): Promise<TableResult[]> {
  const results: TableResult[] = [];
  for (const table of report.tables) {
    const partitions = table.partitions ?? 0;
    results.push({
      table: table.table,
      read: table.rows,
      partitions,
      attempts: partitions + table.retries,
      seconds: secondsOf(table),
      ...(await compare(table)),
    });
  }
  return results;
}

/** Of a table that has not ended: until now. */
function secondsOf({ startedAt = '', endedAt }: TableProgress): number {
  return ((endedAt === undefined ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt)) / 1000;
}

/** Over all tables. */
export function totals(results: readonly TableResult[]): { rows: number; missing: number; duplicated: number } {
  const sum = (of: (result: TableResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  return { rows: sum((r) => r.destinationRows), missing: sum((r) => r.missing), duplicated: sum((r) => r.extra) };
}

export function resultTable(results: readonly TableResult[]): string {
  const head = ['table', 'rows read', 'rows written', 'missing', 'doubled', 'partitions', 'attempts', 'time', 'rows/s'];
  const table = new Table({
    head,
    style: { head: [], border: [] },
    colAligns: ['left', ...head.slice(1).map(() => 'right' as const)],
  });
  for (const r of results) {
    const numbers = [r.read, r.destinationRows, r.missing, r.extra, r.partitions, r.attempts].map(count);
    table.push([r.table, ...numbers, `${r.seconds.toFixed(1)} s`, count(Math.round(r.read / r.seconds))]);
  }
  return table.toString();
}
