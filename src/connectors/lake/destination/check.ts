import type { ColumnShape, TableShape, TableSpec } from '../../../core/model.js';
import { selectColumns } from '../../columns.js';
import { problem } from '../../findings.js';
import type { Finding, Format, SourceTable, TargetCheck } from '../../types.js';
import { shortHash } from '../../hash.js';
import { canDecodeBinary } from '../columns/index.js';
import type { NamedType, TableFormat } from '../format.js';
import type { LakeColumn } from '../model.js';
import { tablePath } from '../table-path.js';
import { printedType } from '../types/index.js';
import { lakeColumns } from './columns.js';

/** Forms of data that a lake takes, the better first. */
export const LAKE_FORMATS: readonly Format[] = ['postgres.copy.binary', 'postgres.copy.text', 'rows'];

/** See `DestinationSession.check`. */
export async function checkTable(format: TableFormat, spec: TableSpec, source: SourceTable): Promise<TargetCheck> {
  if (tablePath(spec.to) === undefined) {
    const message = `"${spec.to}" is not the name of a table`;
    return { fingerprint: '', findings: [problem('to', message, 'write it as schema.table')] };
  }
  const { shape, columns: names, findings: inferred } = await shapeOf(format, spec, source);
  if (names.length === 0) return { fingerprint: '', findings: inferred };
  const { columns, findings } = lakeColumns(spec, shape, names);
  const told = [...notSupported(spec), ...inferred, ...findings];
  // What a column without a type would meet can't be told.
  const met = findings.length > 0 ? [] : await format.check(spec, columns);
  const chosen = formatOf(source.formats, columns);
  const none =
    chosen === undefined ? [problem('', 'source and destination have no form of data in common', SOURCE)] : [];
  return {
    fingerprint: fingerprintOf(spec, columns),
    findings: [...told, ...met, ...none],
    ...(chosen && { format: chosen }),
    ...(source.inferred && { shape }),
  };
}

const SOURCE = 'choose another source';

/**
 * Of what is written, not of the table that is there: whether that can take it is asked again at the very moment of publishing, and
 * the run's own word that it is closed may have been what made the table.
 */
function fingerprintOf({ partitionBy = [] }: TableSpec, columns: readonly LakeColumn[]): string {
  return shortHash(JSON.stringify([partitionBy, columns.map(({ name, type, nullable }) => [name, type, nullable])]));
}

function formatOf(offered: readonly Format[], columns: readonly LakeColumn[]): Format | undefined {
  const taken = LAKE_FORMATS.filter((form) => form !== 'postgres.copy.binary' || canDecodeBinary(columns));
  return offered.find((form) => taken.includes(form));
}

/** What the source tells, or, of one that can't tell its columns, what the table that is there has. */
async function shapeOf(
  format: TableFormat,
  spec: TableSpec,
  source: SourceTable,
): Promise<{ shape: TableShape; columns: readonly string[]; findings: Finding[] }> {
  if (!source.inferred) {
    const none =
      source.columns.length === 0 ? [problem('columns', 'no column is left to copy', 'copy at least one')] : [];
    return { shape: source.shape, columns: source.columns, findings: none };
  }
  const there = await format.columns(spec);
  if (there === undefined) {
    const message = `the source can't tell its columns, and ${spec.to} does not exist`;
    const fix = 'declare them, as in columns: {id: bigint, note: string}';
    return { shape: shapeFrom([]), columns: [], findings: [problem('columns', message, fix)] };
  }
  const { selected, findings } = selectColumns(spec, there.map(columnOf));
  return { shape: shapeFrom(selected), columns: selected.map(({ name }) => name), findings };
}

/** A column whose values are those of a lake's type. */
function columnOf({ name, type, nullable }: NamedType): ColumnShape {
  const printed = printedType(type);
  return { name, type: printed, definition: printed, notNull: !nullable, generated: false };
}

function shapeFrom(columns: TableShape['columns']): TableShape {
  return { system: 'lake', columns, primaryKey: [] };
}

/** What a lake's files can't do, or not yet. */
function notSupported({ publish, rejects }: TableSpec): Finding[] {
  return [
    ...(publish === 'partition'
      ? [problem('publish', 'partition is not for a lake: its tables become visible in one step', 'take it out')]
      : []),
    ...(rejects ? [problem('rejects', 'a lake has no place for rows that are set aside', 'take it out')] : []),
  ];
}
