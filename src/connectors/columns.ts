import type { ColumnShape, TableSpec } from '../core/model.js';
import { didYouMean } from '../core/suggest.js';
import { problem } from './findings.js';
import type { Finding } from './types.js';

/** The columns to copy, in the source's order: those listed or all, but for excluded ones and those that the server computes. */
export function selectColumns<C extends ColumnShape>(
  spec: TableSpec,
  columns: readonly C[],
): { readonly selected: readonly C[]; readonly findings: Finding[] } {
  const findings = [
    ...unknownColumns('columns', spec.columns, columns),
    ...unknownColumns('exclude', spec.exclude, columns),
  ];
  const selected = columns.filter(
    ({ name, generated }) =>
      !generated && (spec.columns?.includes(name) ?? true) && !(spec.exclude?.includes(name) ?? false),
  );
  const generated = listedGenerated(spec.columns, columns);
  if (selected.length === 0 && findings.length === 0) findings.push(noColumns);
  return { selected, findings: [...findings, ...generated] };
}

const noColumns = problem('', 'no column is left to copy');

function unknownColumns(
  path: 'columns' | 'exclude',
  names: readonly string[] | undefined,
  columns: readonly ColumnShape[],
): Finding[] {
  const known = columns.map(({ name }) => name);
  return (names ?? []).flatMap((name, index) =>
    known.includes(name) ? [] : [unknownColumn(`${path}[${index}]`, name, known)],
  );
}

/** A name that no column has, with the one that may have been meant. */
export function unknownColumn(path: string, name: string, known: readonly string[]): Finding {
  const near = didYouMean(name, known);
  const fix = near === undefined ? `the columns are ${listed(known)}` : `did you mean "${near}"?`;
  return problem(path, `there is no column "${name}"`, fix);
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 20).join(', ');
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown;
}

function listedGenerated(names: readonly string[] | undefined, columns: readonly ColumnShape[]): Finding[] {
  return (names ?? []).flatMap((name, index): Finding[] => {
    if (!columns.some((column) => column.name === name && column.generated)) return [];
    const message = `column "${name}" is generated: it is computed, never copied`;
    return [problem(`columns[${index}]`, message, 'remove it from the list')];
  });
}
