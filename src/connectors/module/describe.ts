import type { ColumnShape, DeclaredColumn, TableShape, TableSpec } from '../../core/model.js';
import { LonghaulError } from '../../core/errors.js';
import { selectColumns, unknownColumn } from '../columns.js';
import { problem } from '../findings.js';
import type { Finding, SourceTable } from '../types.js';
import type { SourceDefinition, TableDescription } from './define.js';

type Described = Pick<SourceTable, 'shape' | 'columns' | 'inferred'>;

/** What an entry asks that a module can't do. */
export function entryFindings(spec: TableSpec, source: SourceDefinition, written: string): Finding[] {
  if (spec.queries !== undefined) return [];
  const findings: Finding[] = [];
  if (source.plan === undefined) {
    const fix = 'write queries: [{id, sql}], or give the module a plan';
    findings.push(problem('from', `${written} has no plan, so it can't cut a table`, fix));
  }
  if (spec.where !== undefined) {
    findings.push(problem('where', 'a module reads no conditions', 'take it out: plan says which rows are read'));
  }
  if (spec.partition.by !== 'auto') {
    findings.push(problem('partition.by', 'a module cuts its tables itself', 'take it out'));
  }
  return findings;
}

/** Columns that the job declares are taken at its word, as long as the module knows them; else they are the module's, else the target's. */
export function describedTable(
  spec: TableSpec,
  told: TableDescription | undefined,
): { readonly described: Described; readonly findings: Finding[] } {
  if (spec.declared !== undefined) return declaredTable(spec.declared, told);
  if (told === undefined) {
    return { described: { shape: shapeOf([], []), columns: [], inferred: true }, findings: [] };
  }
  const shape = shapeOf(told.columns, told.primaryKey);
  const { selected, findings } = selectColumns(spec, shape.columns);
  return { described: { shape, columns: selected.map(({ name }) => name) }, findings };
}

function declaredTable(declared: readonly DeclaredColumn[], told: TableDescription | undefined) {
  const known = told?.columns.map(({ name }) => name);
  const unknown = declared.filter(({ name }) => known?.includes(name) === false);
  const columns = declared.map(({ name }) => name);
  return {
    described: { shape: shapeOf(declared, told?.primaryKey), columns },
    findings: unknown.map(({ name }) => unknownColumn(`columns.${name}`, name, known!)),
  };
}

/** A key of which not all columns are there is none. */
function shapeOf(columns: readonly DeclaredColumn[], key: readonly string[] = []): TableShape {
  const whole = key.every((name) => columns.some((column) => column.name === name));
  return { system: 'declared', columns: columns.map(columnOf), primaryKey: whole ? key : [] };
}

function columnOf({ name, type }: DeclaredColumn): ColumnShape {
  return { name, type, definition: type.toLowerCase(), notNull: false, generated: false };
}

/** Throws SourceRefused for what is no description. */
export function checkedDescription(told: TableDescription, written: string, table: string): TableDescription {
  const columns: unknown = (told as Partial<TableDescription> | undefined)?.columns;
  const names = Array.isArray(columns) && columns.length > 0 && columns.every(isColumn) ? namesOf(columns) : undefined;
  const twice = names?.find((name, index) => names.indexOf(name) !== index);
  if (names !== undefined && twice === undefined) return told;
  const wrong = twice === undefined ? 'without a list of {name, type}' : `with column "${twice}" twice`;
  throw new LonghaulError('SourceRefused', `describe of ${written} answered ${wrong} for table ${table}.`, {
    next: 'Correct the module and restart the workers.',
  });
}

function isColumn(column: unknown): column is DeclaredColumn {
  const { name, type } = (column ?? {}) as Partial<DeclaredColumn>;
  return typeof name === 'string' && name !== '' && typeof type === 'string' && type !== '';
}

function namesOf(columns: readonly DeclaredColumn[]): string[] {
  return columns.map(({ name }) => name);
}
