import type { ColumnShape, TableRecord, TableShape, TableSpec } from '../../../core/model.js';
import { unknownColumn } from '../../columns.js';
import { problem } from '../../findings.js';
import type { Finding } from '../../types.js';
import type { LakeColumn, LakeType } from '../model.js';
import { lakeTypeOf } from '../types/index.js';

export interface LakeColumns {
  readonly columns: readonly LakeColumn[];
  readonly findings: Finding[];
}

/** As what the copied columns arrive: by the job's `types`, else by the source's own. */
export function lakeColumns(spec: TableSpec, shape: TableShape, names: readonly string[]): LakeColumns {
  const copied = names.map((name) => shape.columns.find((column) => column.name === name)!);
  const types = copied.map((column) => lakeTypeOf(column, spec.types?.[column.name]));
  const columns = copied.flatMap((source, place) => {
    const found = types[place]!;
    return 'problem' in found ? [] : [columnOf(source, found.type)];
  });
  const findings = types.flatMap((found) => ('problem' in found ? [found.problem] : []));
  const unknown = Object.keys(spec.types ?? {}).filter((name) => !names.includes(name));
  return {
    columns,
    findings: [
      ...findings,
      ...unknown.map((name) => unknownColumn(`types.${name}`, name, names)),
      ...doubled(copied),
      ...partitionFindings(spec, columns, names),
    ],
  };
}

function columnOf(source: ColumnShape, type: LakeType): LakeColumn {
  const { name, notNull, comment } = source;
  return { name, type, nullable: !notNull, ...(comment !== undefined && { comment }), source };
}

/** As the run was opened with: nothing was wrong with them. */
export function columnsOf({ spec, shape, columns }: TableRecord): readonly LakeColumn[] {
  return lakeColumns(spec, shape, columns).columns;
}

/** Engines that read a lake fold the case of names. */
function doubled(columns: readonly ColumnShape[]): Finding[] {
  const seen = new Map<string, string>();
  return columns.flatMap(({ name }): Finding[] => {
    const folded = name.toLowerCase();
    const other = seen.get(folded);
    seen.set(folded, name);
    if (other === undefined) return [];
    const message = `columns "${other}" and "${name}" differ in case only: the engines that read a lake take them for one`;
    return [problem('columns', message, 'exclude one, or rename it in a query of your own')];
  });
}

const NOT_PARTITIONING = new Set(['list', 'binary', 'float', 'double']);

function partitionFindings(
  { partitionBy = [] }: TableSpec,
  columns: readonly LakeColumn[],
  names: readonly string[],
): Finding[] {
  const found = partitionBy.flatMap((name, place): Finding[] => {
    const path = `partitionBy[${place}]`;
    if (!names.includes(name)) return [unknownColumn(path, name, names)];
    if (partitionBy.indexOf(name) < place) return [problem(path, `column "${name}" is named twice`, 'take it out')];
    const kind = columns.find((column) => column.name === name)?.type.kind;
    if (kind === undefined || !NOT_PARTITIONING.has(kind)) return [];
    return [problem(path, `column "${name}" is of type ${kind}: files can't be kept apart by it`, 'take it out')];
  });
  if (names.length === 0 || partitionBy.length < names.length || found.length > 0) return found;
  return [problem('partitionBy', 'names every column: no column is left for the files', 'take one out')];
}
