import type { LakeType } from '../model.js';

/** Parquet's physical types, by their numbers in its metadata. */
export const BOOLEAN = 0;
export const INT32 = 1;
export const INT64 = 2;
export const FLOAT = 4;
export const DOUBLE = 5;
export const BYTE_ARRAY = 6;
export const FIXED_LEN_BYTE_ARRAY = 7;

/** Bytes of a decimal of more than 18 digits: two's complement, the highest byte first. */
export const WIDE_DECIMAL = 16;

const PHYSICAL = {
  ...{ boolean: BOOLEAN, byte: INT32, short: INT32, integer: INT32, date: INT32, long: INT64 },
  ...{ timestamp: INT64, timestamp_ntz: INT64, float: FLOAT, double: DOUBLE, string: BYTE_ARRAY, binary: BYTE_ARRAY },
};

export type LeafType = Exclude<LakeType, { readonly kind: 'list' }>;

export function physicalType(type: LeafType): number {
  if (type.kind !== 'decimal') return PHYSICAL[type.kind];
  if (type.precision <= 9) return INT32;
  return type.precision <= 18 ? INT64 : FIXED_LEN_BYTE_ARRAY;
}

/** Words of 32 bits in which a value of fixed width is kept; 0: it is bytes of any number. */
export function wordsOf(type: LeafType): 0 | 1 | 2 | 4 {
  const physical = physicalType(type);
  if (physical === BYTE_ARRAY) return 0;
  if (physical === FIXED_LEN_BYTE_ARRAY) return 4;
  return physical === INT64 || physical === DOUBLE ? 2 : 1;
}

/** The type of the values in a column's one leaf. */
export function leafType(type: LakeType): LeafType {
  if (type.kind !== 'list') return type;
  if (type.element.kind === 'list') throw new Error('there are no lists of lists');
  return type.element;
}
