import type { LakeType } from '../model.js';

const NAMES: Readonly<Record<Exclude<LakeType['kind'], 'decimal' | 'list'>, string>> = {
  ...{ boolean: 'boolean', byte: 'smallint', short: 'smallint', integer: 'integer', long: 'bigint', float: 'real' },
  ...{ double: 'double precision', string: 'text', binary: 'bytea', date: 'date' },
  ...{ timestamp: 'timestamp with time zone', timestamp_ntz: 'timestamp without time zone' },
};

/** As a source would declare a column whose values are of this type: what `lakeTypeOf` reads. */
export function printedType(type: LakeType): string {
  if (type.kind === 'list') return `${printedType(type.element)}[]`;
  return type.kind === 'decimal' ? `numeric(${type.precision},${type.scale})` : NAMES[type.kind];
}
