import type { LakeType } from '../lake/model.js';

/** A table of Unity Catalog. */
export interface WarehouseTable {
  readonly catalog: string;
  readonly schema: string;
  readonly table: string;
}

export function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

export function tableSql({ catalog, schema, table }: WarehouseTable): string {
  return [catalog, schema, table].map(quoted).join('.');
}

/** A literal: a backslash escapes in Spark's. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

const NAMES = {
  boolean: 'BOOLEAN',
  byte: 'TINYINT',
  short: 'SMALLINT',
  integer: 'INT',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  string: 'STRING',
  binary: 'BINARY',
  date: 'DATE',
  timestamp: 'TIMESTAMP',
  timestamp_ntz: 'TIMESTAMP_NTZ',
} as const;

export function typeSql(type: LakeType): string {
  switch (type.kind) {
    case 'decimal':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'list':
      return `ARRAY<${typeSql(type.element)}>`;
    default:
      return NAMES[type.kind];
  }
}

/** The type that `typeSql` writes so; undefined for those that are not written here. */
export function typeNamed(sql: string): LakeType | undefined {
  const found = /^ARRAY<(.*)>$/.exec(sql);
  if (found !== null) {
    const element = typeNamed(found[1]!);
    return element && { kind: 'list', element };
  }
  const decimal = decimalOf(sql);
  if (decimal !== undefined) return { kind: 'decimal', ...decimal };
  const kind = KINDS.find((each) => NAMES[each] === sql);
  return kind && { kind };
}

const KINDS = Object.keys(NAMES) as (keyof typeof NAMES)[];

/** Of exact widenings, what may stand after what. */
const WIDER: readonly (readonly string[])[] = [
  ['TINYINT', 'SMALLINT', 'INT', 'BIGINT'],
  ['FLOAT', 'DOUBLE'],
];
/** Digits that the integers take. */
const DIGITS: Readonly<Record<string, number>> = { TINYINT: 3, SMALLINT: 5, INT: 10, BIGINT: 19 };

/** Whether each value of type `from` is one of type `to`, exactly. Both as `typeSql` writes them. */
export function fits(from: string, to: string): boolean {
  if (from === to) return true;
  const chain = WIDER.find((types) => types.includes(from));
  if (chain?.includes(to) === true) return chain.indexOf(to) > chain.indexOf(from);
  const wide = decimalOf(to);
  const narrow = decimalOf(from) ?? integerAsDecimal(from);
  if (wide === undefined || narrow === undefined) return false;
  return wide.scale >= narrow.scale && wide.precision - wide.scale >= narrow.precision - narrow.scale;
}

function decimalOf(type: string): { precision: number; scale: number } | undefined {
  const found = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  return found === null ? undefined : { precision: Number(found[1]), scale: Number(found[2]) };
}

function integerAsDecimal(type: string) {
  const precision = DIGITS[type];
  return precision === undefined ? undefined : { precision, scale: 0 };
}

export function cast(name: string, type: string): string {
  return `CAST(${quoted(name)} AS ${type}) AS ${quoted(name)}`;
}
