import type { TableVerification, VerifyReport } from '../../workflows/verify-job.js';
import { textTable } from './follow/report.js';
import { formatCount, plural } from './format.js';
import type { Channel, Screen } from './screen.js';

/** What a verdict means for a person. */
const MEANING: Readonly<Record<TableVerification['verdict'], string>> = {
  equal: 'source and target are equal',
  'source changed': 'the source changed since the copy; the target is as it was copied',
  'target changed': 'the target changed since the copy; the source is as it was copied',
  'both changed': 'source and target both changed since the copy',
  differs: 'source and target differ, and no digest was stored at the copy to tell which of them changed',
  undecided: 'the target has more rows than were copied, being appended to, so its content was not compared',
  'not published': 'it was not compared',
  failed: 'it could not be compared',
};

/** A comparison for a person. */
export function printVerification(name: string, report: VerifyReport, { out }: Screen): void {
  const { colors } = out;
  const rows = report.tables.map((table) => [table.table, verdictCell(table, out), ...countCells(table)]);
  const head = ['table', 'verdict', 'source', 'copied', 'target', 'partitions'];
  out.line(
    textTable(
      head.map((title) => colors.dim(title)),
      rows,
      2,
    ),
  );
  for (const table of report.tables) explainTable(table, report, out);
  const skipped = skippedOf(report);
  const differing = report.tables.filter(({ verdict }) => verdict !== 'equal').length;
  const all = plural(report.tables.length, 'table');
  if (!report.equal || skipped > 0) out.line();
  const without = skipped === 0 ? '' : `; ${plural(skipped, 'partition')} skipped and not compared`;
  const equal = skipped === 0 ? colors.green('✔ equal') : colors.yellow('! equal but for skips');
  out.prose(
    report.equal
      ? `${equal}  ${name}: ${all} of run ${report.run}, row by row${without}`
      : `${colors.red('✖ not equal')}  ${name}: ${differing} of ${all} of run ${report.run}${without}`,
  );
}

/** Partitions of all tables that were skipped when they were copied. */
export function skippedOf({ tables }: VerifyReport): number {
  return tables.reduce((sum, { skipped = 0 }) => sum + skipped, 0);
}

function verdictCell({ verdict }: TableVerification, { colors }: Channel): string {
  return verdict === 'equal' ? colors.green('✔ equal') : colors.red(`✖ ${verdict}`);
}

function countCells({ rows, partitions }: TableVerification): string[] {
  const counts = rows === undefined ? ['', '', ''] : [rows.source, rows.copied, rows.target].map(formatCount);
  return [...counts, formatCount(partitions)];
}

function explainTable(table: TableVerification, report: VerifyReport, out: Channel): void {
  const { verdict, note, skipped } = table;
  if (skipped !== undefined)
    out.prose(
      `\n${out.colors.bold(table.table)}: ${plural(skipped, 'partition')} skipped at the copy, and not compared`,
    );
  if (verdict === 'equal') return;
  out.prose(`\n${out.colors.bold(table.table)}: ${MEANING[verdict]}${note === undefined ? '' : ` (${note})`}`);
  if (table.differing.length > 0) out.line(indent(differingTable(table, out)));
  if (table.more > 0) out.line(`  … and ${plural(table.more, 'partition')} more`);
  showKeys(table, report, out);
}

function differingTable({ differing }: TableVerification, { colors }: Channel): string {
  const head = ['partition', 'verdict', 'source', 'copied', 'target', 'keys kept'].map((title) => colors.dim(title));
  const rows = differing.map(({ label, verdict, source, copied, target, keys }) => [
    ...[label, verdict, formatCount(source), formatCount(copied)],
    ...[target === undefined ? '' : formatCount(target), keys === 0 ? '' : formatCount(keys)],
  ]);
  return textTable(head, rows, 2);
}

/** The ledger counts partitions from 0, people from 1. The statement is not wrapped: it is to be copied. */
function showKeys(
  { table, differing }: TableVerification,
  { run, destination, differences }: VerifyReport,
  out: Channel,
) {
  const keys = differing.reduce((sum, part) => sum + part.keys, 0);
  if (keys === 0) return;
  const kept = `Keys of ${plural(keys, 'row')} that differ are kept in the ledger of connection "${destination}"`;
  if (differences === undefined) {
    out.prose(`  ${kept}.`);
    return;
  }
  out.prose(`  ${kept}. To see them there:`);
  const where = `run = ${literal(run)} AND table_name = ${literal(table)}`;
  out.line(`  SELECT partition + 1 AS partition, key, difference FROM ${differences} WHERE ${where} ORDER BY 1, 2;`);
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
