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
  const differing = report.tables.filter(({ verdict }) => verdict !== 'equal').length;
  const all = plural(report.tables.length, 'table');
  out.prose(
    report.equal
      ? `${colors.green('✔ equal')}  ${name}: ${all} of run ${report.run}, row by row`
      : `${colors.red('✖ not equal')}  ${name}: ${differing} of ${all} of run ${report.run}`,
  );
}

function verdictCell({ verdict }: TableVerification, { colors }: Channel): string {
  return verdict === 'equal' ? colors.green('✔ equal') : colors.red(`✖ ${verdict}`);
}

function countCells({ rows, partitions }: TableVerification): string[] {
  const counts = rows === undefined ? ['', '', ''] : [rows.source, rows.copied, rows.target].map(formatCount);
  return [...counts, formatCount(partitions)];
}

function explainTable(table: TableVerification, { run, destination, differences }: VerifyReport, out: Channel): void {
  const { verdict, differing, more, note } = table;
  if (verdict === 'equal') return;
  out.prose(`\n${out.colors.bold(table.table)}: ${MEANING[verdict]}${note === undefined ? '' : ` (${note})`}`);
  for (const { label, verdict: kind, source, copied, target } of differing) {
    const counts = `rows: ${formatCount(source)} source, ${formatCount(copied)} copied`;
    out.line(`  ${label}  ${kind}  (${counts}${target === undefined ? '' : `, ${formatCount(target)} target`})`);
  }
  if (more > 0) out.line(`  … and ${plural(more, 'partition')} more`);
  const keys = differing.reduce((sum, part) => sum + part.keys, 0);
  if (keys === 0 || differences === undefined) return;
  const where = `run = '${run}' AND table_name = '${table.table.replaceAll("'", "''")}'`;
  const what = `Keys of ${plural(keys, 'row')} that differ are kept at connection "${destination}", in its ledger:`;
  out.prose(`  ${what}\n  SELECT partition, key, difference FROM ${differences} WHERE ${where}`);
}
