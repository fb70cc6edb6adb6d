import type { LakeColumn, LakeType } from '../model.js';
import { FIXED_LEN_BYTE_ARRAY, physicalType, WIDE_DECIMAL, type LeafType } from './physical.js';
import { ThriftWriter } from './thrift.js';

/** A column of a data file. */
export type FileColumn = Pick<LakeColumn, 'name' | 'type' | 'nullable'>;

const REQUIRED = 0;
const OPTIONAL = 1;
const REPEATED = 2;

/** Annotations of before there were logical types: older readers look at them alone. */
const CONVERTED: Readonly<Partial<Record<LakeType['kind'], number>>> = {
  ...{ string: 0, list: 3, decimal: 5, date: 6, timestamp: 10, byte: 15, short: 16 },
};

/** The schema's elements, each as a struct of Thrift, in the order of a walk from the root. */
export function schemaElements(columns: readonly FileColumn[]): Uint8Array[] {
  const root = ThriftWriter.struct((element) => {
    element.string(4, 'schema');
    element.i32(5, columns.length);
  });
  return [root, ...columns.flatMap(elementsOf)];
}

function elementsOf({ name, type, nullable }: FileColumn): Uint8Array[] {
  const repetition = nullable ? OPTIONAL : REQUIRED;
  if (type.kind !== 'list') return [leafElement(name, type, repetition)];
  return [
    ThriftWriter.struct((element) => {
      element.i32(3, repetition);
      element.string(4, name);
      element.i32(5, 1);
      element.i32(6, CONVERTED.list!);
      element.struct(10, (logical) => logical.struct(3, () => undefined));
    }),
    ThriftWriter.struct((element) => {
      element.i32(3, REPEATED);
      element.string(4, 'list');
      element.i32(5, 1);
    }),
    leafElement('element', type.element as LeafType, OPTIONAL),
  ];
}

function leafElement(name: string, type: LeafType, repetition: number): Uint8Array {
  const physical = physicalType(type);
  const converted = CONVERTED[type.kind];
  return ThriftWriter.struct((element) => {
    element.i32(1, physical);
    if (physical === FIXED_LEN_BYTE_ARRAY) element.i32(2, WIDE_DECIMAL);
    element.i32(3, repetition);
    element.string(4, name);
    if (converted !== undefined) element.i32(6, converted);
    if (type.kind === 'decimal') {
      element.i32(7, type.scale);
      element.i32(8, type.precision);
    }
    logicalType(element, type);
  });
}

function logicalType(element: ThriftWriter, type: LeafType): void {
  const put = (id: number, fill: (writer: ThriftWriter) => void) =>
    element.struct(10, (logical) => logical.struct(id, fill));
  if (type.kind === 'string') put(1, () => undefined);
  else if (type.kind === 'date') put(6, () => undefined);
  else if (type.kind === 'byte' || type.kind === 'short') put(10, (whole) => integerType(whole, type.kind));
  else if (type.kind === 'timestamp' || type.kind === 'timestamp_ntz') {
    put(8, (timestamp) => {
      timestamp.bool(1, type.kind === 'timestamp');
      timestamp.struct(2, (unit) => unit.struct(2, () => undefined));
    });
  } else if (type.kind === 'decimal') {
    put(5, (decimal) => {
      decimal.i32(1, type.scale);
      decimal.i32(2, type.precision);
    });
  }
}

function integerType(whole: ThriftWriter, kind: LeafType['kind']): void {
  whole.i8(1, kind === 'byte' ? 8 : 16);
  whole.bool(2, true);
}
