import type { Client } from '@temporalio/client';
import type { LedgerView, PartitionView } from '../../core/activities.js';
import type { Context } from '../context.js';
import { CliError } from '../errors.js';
import { EXIT } from '../exit-codes.js';
import { textTable } from '../follow/report.js';
import { formatBytes, formatCount, formatDuration, plural, rateOf } from '../format.js';
import { taskQueueOf } from '../job-input.js';
import { askLedgers, reportProblems } from '../ledgers.js';

export interface PartitionOptions {
  readonly destination?: string;
  readonly taskQueue?: string;
  readonly json?: boolean;
}

/** What became of each partition of one table of a run: its rows, and the time that it took. */
export async function listPartitions(
  client: Client,
  context: Context,
  { run, table }: { readonly run: string; readonly table: string },
  { destination, taskQueue, json }: PartitionOptions,
): Promise<number> {
  const query = { ...(destination !== undefined && { destination }), run, table, limit: 1 };
  const ledgers = await askLedgers(client, context, taskQueueOf(taskQueue, context), query);
  reportProblems(ledgers, context);
  const found = ledgers.find(({ runs }) => runs.length > 0);
  if (found === undefined) throw unknownRun(run, ledgers, context);
  const { partitions = [], runs } = found;
  const view = runs[0]!.tables.find((each) => each.table === table);
  if (view === undefined) throw unknownTable(run, table, found, context);
  if (json) context.screen.out.line(JSON.stringify(partitions, undefined, 2));
  else print(table, partitions, view.partitions ?? 0, context);
  return EXIT.ok;
}

export function unknownRun(run: string, ledgers: readonly LedgerView[], { hint }: Context): CliError {
  const where = ledgers.map(({ destination }) => destination).join(', ') || 'any connection';
  return new CliError(`No ledger of ${where} knows run "${run}".`, EXIT.wrong, `The runs there are:  ${hint('ls')}`);
}

function unknownTable(run: string, table: string, { runs }: LedgerView, { hint }: Context): CliError {
  const names = runs[0]!.tables.map((each) => each.table);
  const next = names.length > 10 ? `Its tables are:  ${hint('ls', run)}` : `Its tables are: ${names.join(', ')}`;
  return new CliError(`Run "${run}" has no table "${table}".`, EXIT.wrong, next);
}

function print(
  table: string,
  partitions: readonly PartitionView[],
  planned: number,
  { screen: { out } }: Context,
): void {
  const { colors } = out;
  if (partitions.length === 0) {
    out.prose(
      `${table}: ${planned === 0 ? 'not planned yet' : `${plural(planned, 'partition')}, of which nothing is known any more`}.`,
    );
    return;
  }
  const head = ['partition', 'state', 'rows', 'bytes', 'time', 'rows/s'].map((title) => colors.dim(title));
  const total = ['total', '', ...numbers(sumOf(partitions))].map((cell) => colors.bold(cell));
  out.line(textTable(head, [...partitions.map((each) => [each.partition, each.state, ...numbers(each)]), total], 2));
  if (planned > partitions.length)
    out.line(colors.dim(`… and ${plural(planned - partitions.length, 'more partition')}`));
}

type Numbers = Pick<PartitionView, 'rows' | 'bytes' | 'seconds'>;

function numbers({ rows, bytes, seconds }: Numbers): string[] {
  const rate = rateOf(rows, seconds * 1000);
  return [
    formatCount(rows),
    formatBytes(bytes),
    formatDuration(seconds * 1000),
    rate === undefined ? '' : formatCount(rate),
  ];
}

/** Of the times that partitions took, many of them at once. */
function sumOf(partitions: readonly PartitionView[]): Numbers {
  const sum = (of: (partition: PartitionView) => number) => partitions.reduce((total, each) => total + of(each), 0);
  return { rows: sum(({ rows }) => rows), bytes: sum(({ bytes }) => bytes), seconds: sum(({ seconds }) => seconds) };
}
