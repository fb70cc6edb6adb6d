import type { ColumnShape } from '../../../core/model.js';
import { typeOf, type ModifiedType } from '../../postgres/formats.js';
import { problem } from '../../findings.js';
import type { Finding } from '../../types.js';
import type { LakeType } from '../model.js';
import { asPostgres, isKnownType } from './source-type.js';

/** Postgres' types whose values have a type in a lake; those of all others are kept as the text that the server prints. */
const SIMPLE: Readonly<Record<string, LakeType>> = {
  ...{ bool: { kind: 'boolean' }, int2: { kind: 'short' }, int4: { kind: 'integer' }, int8: { kind: 'long' } },
  ...{ oid: { kind: 'long' }, float4: { kind: 'float' }, float8: { kind: 'double' }, date: { kind: 'date' } },
  ...{ timestamp: { kind: 'timestamp_ntz' }, timestamptz: { kind: 'timestamp' }, bytea: { kind: 'binary' } },
};

const STRING: LakeType = { kind: 'string' };
const MOST_DIGITS = 38;

export type TypeAnswer = { readonly type: LakeType } | { readonly problem: Finding };

/** The type that a column of the source has in the lake. `declared`: what the job says, in `types`. */
export function lakeTypeOf(column: ColumnShape, declared?: string): TypeAnswer {
  if (!isKnownType(column)) return unknownType(column);
  const source = typeOf(asPostgres(column));
  return declared === undefined ? natural(column, source) : asDeclared(column, source, declared);
}

function unknownType({ name, type }: ColumnShape): TypeAnswer {
  const message = `column "${name}": there is no type ${type}`;
  const fix = 'write one such as bigint, decimal(12,2), string, date or timestamptz: see docs/types.md';
  return { problem: problem('columns', message, fix) };
}

function natural(column: ColumnShape, source: ModifiedType): TypeAnswer {
  const { node } = source;
  if ('array' in node) {
    const element = natural(column, { ...elementOf(source) });
    if ('problem' in element) return element;
    return element.type.kind === 'list' ? { type: STRING } : { type: { kind: 'list', element: element.type } };
  }
  if ('builtin' in node && node.builtin === 'numeric') return decimalOf(column, source.modifiers);
  if ('builtin' in node) return { type: SIMPLE[node.builtin] ?? STRING };
  return { type: isGeometry(source) ? { kind: 'binary' } : STRING };
}

/** Of an array; a domain's base in its place. */
export function elementOf(source: ModifiedType): ModifiedType {
  if (!('array' in source.node)) throw new Error(`${source.printed} is no array`);
  const printed = source.printed.replace(/(\[\d*\])+$/, '');
  const element: ColumnShape = {
    ...{ name: '', type: printed, definition: JSON.stringify(source.node.array), notNull: false, generated: false },
  };
  return typeOf(element);
}

export function isGeometry({ node }: ModifiedType): boolean {
  return 'extension' in node && node.extension === 'postgis' && ['geometry', 'geography'].includes(node.type);
}

function decimalOf(column: ColumnShape, modifiers: readonly number[] | undefined): TypeAnswer {
  const [precision, scale = 0] = modifiers ?? [];
  if (precision === undefined) return needsMapping(column, 'does not say how many digits its numbers have');
  if (precision > MOST_DIGITS)
    return needsMapping(column, `has more than the ${MOST_DIGITS} digits of a lake's decimals`);
  if (scale < 0 || scale > precision) return needsMapping(column, 'has a scale that no decimal of a lake has');
  return { type: { kind: 'decimal', precision, scale } };
}

function needsMapping(column: ColumnShape, why: string): TypeAnswer {
  return refused(
    column,
    `column "${column.name}": ${column.type} ${why}`,
    `say what it becomes — write types: {${column.name}: 'decimal(38,9)'}, or string, or double (which rounds)`,
  );
}

const DECLARABLE =
  /^(?:(string|double|float|timestamp|timestamp_ntz|long|integer|short|binary|boolean|date)|decimal\((\d+)\s*,\s*(\d+)\))$/;

/** Declared types that lose nothing of a source's values that they take, or say by their name that they do. */
const ALLOWED: Readonly<Record<string, readonly LakeType['kind'][]>> = {
  numeric: ['decimal', 'double', 'long', 'integer'],
  int2: ['integer', 'long', 'decimal', 'double'],
  int4: ['long', 'decimal', 'double'],
  int8: ['decimal'],
  oid: ['decimal'],
  float4: ['double'],
  timestamp: ['timestamp'],
  timestamptz: ['timestamp_ntz'],
};

function asDeclared(column: ColumnShape, source: ModifiedType, declared: string): TypeAnswer {
  const type = parseDeclared(declared);
  if (type === undefined) {
    const fix = 'write string, double, timestamp, decimal(precision,scale) or the like';
    return refused(column, `column "${column.name}": "${declared}" is no type of a lake`, fix);
  }
  const own = natural(column, source);
  const same = 'type' in own && JSON.stringify(own.type) === JSON.stringify(type);
  if (same || type.kind === 'string' || allowed(source, type)) return { type };
  const fix = 'take it out of types, declare string, or convert it in a query of your own';
  return refused(column, `column "${column.name}": ${column.type} can't become ${declared} without a change`, fix);
}

function allowed({ node }: ModifiedType, type: LakeType): boolean {
  return 'builtin' in node && (ALLOWED[node.builtin]?.includes(type.kind) ?? false);
}

function parseDeclared(declared: string): LakeType | undefined {
  const parts = DECLARABLE.exec(declared.trim().toLowerCase());
  if (parts === null) return undefined;
  if (parts[1] !== undefined) return { kind: parts[1] } as LakeType;
  const [precision, scale] = [Number(parts[2]), Number(parts[3])];
  return precision >= 1 && precision <= MOST_DIGITS && scale <= precision
    ? { kind: 'decimal', precision, scale }
    : undefined;
}

function refused(column: ColumnShape, message: string, fix: string): TypeAnswer {
  return { problem: problem(`types.${column.name}`, message, fix) };
}
