import type { LakeColumn, LakeType } from '../../lake/model.js';
import { problem, warning } from '../../findings.js';
import type { Finding } from '../../types.js';
import type { Metadata } from './actions.js';
import type { Mode } from '../../../core/model.js';

/** Columns as Delta's schema has them, and what of a table's is not as what is to be written to it. */

/** A name, or the object of a list, a map or a struct. */
export type DeltaType = string | { readonly type: string; readonly [other: string]: unknown };

export interface DeltaField {
  readonly name: string;
  readonly type: DeltaType;
  readonly nullable: boolean;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export function schemaString(columns: readonly LakeColumn[]): string {
  return JSON.stringify({ type: 'struct', fields: columns.map(fieldOf) });
}

function fieldOf({ name, type, nullable, comment }: LakeColumn): DeltaField {
  return { name, type: deltaType(type), nullable, metadata: comment === undefined ? {} : { comment } };
}

export function deltaType(type: LakeType): DeltaType {
  if (type.kind === 'decimal') return `decimal(${type.precision},${type.scale})`;
  if (type.kind !== 'list') return type.kind;
  return { type: 'array', elementType: deltaType(type.element), containsNull: true };
}

const SIMPLE = new Set<string>([
  ...(['boolean', 'byte', 'short', 'integer', 'long', 'float', 'double'] as const),
  ...(['string', 'binary', 'date', 'timestamp', 'timestamp_ntz'] as const),
] satisfies LakeType['kind'][]);

/** Undefined: a type that no column of ours has (map, struct, variant, void). */
export function lakeType(type: DeltaType): LakeType | undefined {
  if (typeof type !== 'string') {
    const element = type.type === 'array' ? lakeType(type['elementType'] as DeltaType) : undefined;
    return element && { kind: 'list', element };
  }
  const decimal = /^decimal\((\d+),\s*(-?\d+)\)$/.exec(type);
  if (decimal !== null) return { kind: 'decimal', precision: Number(decimal[1]), scale: Number(decimal[2]) };
  return SIMPLE.has(type) ? ({ kind: type } as LakeType) : undefined;
}

export function fieldsOf(metadata: Metadata): readonly DeltaField[] {
  return (JSON.parse(metadata.schemaString) as { fields: DeltaField[] }).fields;
}

/** As a person reads it. */
export function typeText(type: DeltaType): string {
  if (typeof type === 'string') return type.replace(/^decimal\((\d+),\s*/, 'decimal($1,');
  if (type.type === 'array') return `array<${typeText(type['elementType'] as DeltaType)}>`;
  if (type.type !== 'map') return type.type;
  return `map<${typeText(type['keyType'] as DeltaType)},${typeText(type['valueType'] as DeltaType)}>`;
}

export interface Written {
  readonly mode: Mode;
  readonly columns: readonly LakeColumn[];
  readonly partitionBy: readonly string[];
}

/** What stands in the way of writing these columns into a table that there is. */
export function schemaFindings(metadata: Metadata, written: Written): Finding[] {
  const fields = fieldsOf(metadata);
  // One that differs in case only is told of once, with the column that was meant.
  const names = new Set(written.columns.map(({ name }) => name.toLowerCase()));
  return [
    ...written.columns.flatMap((column) => columnFindings(column, fields)),
    ...fields.filter(({ name }) => !names.has(name.toLowerCase())).flatMap((field) => unwritten(field, written)),
    ...partitioningFindings(metadata.partitionColumns, written.partitionBy),
  ];
}

function columnFindings(column: LakeColumn, fields: readonly DeltaField[]): Finding[] {
  const { name } = column;
  const field = fields.find((each) => each.name === name);
  if (field === undefined) return [absent(name, fields)];
  const [has, gets] = [typeText(field.type), typeText(deltaType(column.type))];
  if (has !== gets) {
    return [problem('', `column "${name}" is ${has} in the table, and ${gets} would be written`, CHANGE_TYPE)];
  }
  return [...nullFindings(column, field), ...lengthFindings(field)];
}

const CHANGE_TYPE = 'make the types equal: cast it in a query of the job, or change the column of the table';

function absent(name: string, fields: readonly DeltaField[]): Finding {
  const other = fields.find((each) => each.name.toLowerCase() === name.toLowerCase());
  if (other !== undefined) {
    return problem('', `column "${name}" is called "${other.name}" in the table`, 'write its name in the same case');
  }
  return problem(
    '',
    `the table has no column "${name}"`,
    `leave it out (exclude), or add it: ALTER TABLE … ADD COLUMN`,
  );
}

function nullFindings({ name, type, nullable }: LakeColumn, field: DeltaField): Finding[] {
  if (nullable && !field.nullable) {
    return [
      problem(
        '',
        `column "${name}" may be NULL at the source, and may not in the table`,
        'declare it NOT NULL at the source, or drop NOT NULL of the table',
      ),
    ];
  }
  if (type.kind === 'list' && holdsNoNull(field.type)) {
    return [
      problem(
        '',
        `the lists of column "${name}" may hold NULL, and may not in the table`,
        'write to a column whose lists may',
      ),
    ];
  }
  return [];
}

function holdsNoNull(type: DeltaType): boolean {
  if (typeof type === 'string' || type.type !== 'array') return false;
  return type['containsNull'] === false || holdsNoNull(type['elementType'] as DeltaType);
}

/** Spark's char and varchar are strings with a note, which Spark enforces when it writes. */
function lengthFindings({ name, metadata }: DeltaField): Finding[] {
  const declared = metadata?.['__CHAR_VARCHAR_TYPE_STRING'];
  if (typeof declared !== 'string') return [];
  return [warning('', `column "${name}" is ${declared} to Spark: lengths are not checked`)];
}

function unwritten({ name, nullable, metadata }: DeltaField, { mode }: Written): Finding[] {
  const fix = 'copy a column of that name too (a query can give it), or drop it from the table';
  if (metadata?.['CURRENT_DEFAULT'] !== undefined) {
    return [problem('', `column "${name}" of the table has a default, which only SQL engines can work out`, fix)];
  }
  if (!nullable) return [problem('', `column "${name}" of the table is NOT NULL, and no such column is copied`, fix)];
  const message = `column "${name}" of the table is not among the copied ones: it would be NULL in every row`;
  return [mode === 'replace' ? problem('', message, fix) : warning('', message, fix)];
}

function partitioningFindings(has: readonly string[], wanted: readonly string[]): Finding[] {
  if (has.length === wanted.length && has.every((name, index) => name === wanted[index])) return [];
  const [table, job] = [has, wanted].map((names) => (names.length === 0 ? 'not at all' : `by ${names.join(', ')}`));
  return [
    problem(
      'partitionBy',
      `the table is partitioned ${table}, and the job would write it ${job}`,
      `write partitionBy: [${has.join(', ')}]`,
    ),
  ];
}
