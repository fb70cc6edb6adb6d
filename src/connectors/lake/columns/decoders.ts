import { typeOf, type ModifiedType } from '../../postgres/formats.js';
import type { LakeColumn, OutOfRange } from '../model.js';
import { elementOf, isGeometry } from '../types/lake-type-of.js';
import { asPostgres } from '../types/source-type.js';
import { BytesLeaf, FixedLeaf, type Leaf } from '../parquet-writer/leaf.js';
import { leafType, wordsOf, type LeafType } from '../parquet-writer/physical.js';
import { binaryJsonb, binaryTime, binaryUuid, textBytea, type PutBytes } from './byte-values.js';
import { binaryDecimal, textDecimal } from './decimal.js';
import { fillBytes, fillCopied, fillWords, type Fill } from './fill.js';
import { binaryGeometry, textGeometry } from './geometry.js';
import { binaryDate, binaryTimestamp, textDate, textTimestamp } from './moment.js';
import {
  binaryBool,
  binaryInt2,
  binaryInt4,
  binaryInt8,
  textBool,
  textDouble,
  textInteger,
  widened,
} from './numbers.js';
import { unholdable, type Unholdable } from './out-of-range.js';
import type { PutWords } from './put.js';

/** The two forms in which values come. */
export type Form = 'binary' | 'text';

/** How the values of a column's leaf are decoded; undefined: not from this form. */
export function leafFill(column: LakeColumn, form: Form, policy: OutOfRange): Fill<Leaf> | undefined {
  const type = leafType(column.type);
  const whole = typeOf(asPostgres(column.source));
  const source = column.type.kind === 'list' ? elementOf(whole) : whole;
  const refuse = unholdable(policy, column.type.kind === 'list' || column.nullable);
  const fill = form === 'text' ? textFill(type, source, refuse) : binaryFill(type, source, refuse);
  return fill as Fill<Leaf> | undefined;
}

export function newLeaf(type: LeafType): Leaf {
  const words = wordsOf(type);
  return words === 0 ? new BytesLeaf() : new FixedLeaf(words);
}

type AnyFill = Fill<FixedLeaf> | Fill<BytesLeaf>;

function textFill(type: LeafType, source: ModifiedType, refuse: Unholdable): AnyFill {
  if (type.kind === 'string') return fillCopied;
  if (type.kind === 'binary') return fillBytes(isGeometry(source) ? textGeometry : textBytea);
  return fillWords(textWords(type as WordsType, refuse), 0);
}

type WordsType =
  | { readonly kind: keyof typeof BITS | 'boolean' | 'float' | 'double' | 'date' | 'timestamp' | 'timestamp_ntz' }
  | Extract<LeafType, { readonly kind: 'decimal' }>;

const BITS = { byte: 8, short: 16, integer: 32, long: 64 } as const;

function textWords(type: WordsType, refuse: Unholdable): PutWords {
  switch (type.kind) {
    case 'boolean':
      return textBool;
    case 'float':
    case 'double':
      return textDouble(type.kind === 'float');
    case 'date':
      return textDate(refuse);
    case 'timestamp':
    case 'timestamp_ntz':
      return textTimestamp(refuse, type.kind === 'timestamp');
    case 'decimal':
      return textDecimal({ ...type, words: wordsOf(type) as 1 | 2 | 4, refuse });
    default:
      return textInteger(BITS[type.kind]);
  }
}

function binaryFill(type: LeafType, source: ModifiedType, refuse: Unholdable): AnyFill | undefined {
  const { node } = source;
  if ('enum' in node || ('extension' in node && node.type === 'citext')) return textual(type);
  if (isGeometry(source)) return type.kind === 'binary' ? fillBytes(binaryGeometry) : undefined;
  if (!('builtin' in node)) return undefined;
  const { builtin } = node;
  if (type.kind === 'string') return binaryString(builtin);
  if (type.kind === 'binary') return builtin === 'bytea' ? fillCopied : undefined;
  return binaryWords(builtin, type, refuse);
}

/** Types that send the very text that they print. */
const TEXTUAL = new Set(['text', 'varchar', 'bpchar', 'name', 'json', 'unknown']);
const PRINTED: Readonly<Record<string, PutBytes>> = { uuid: binaryUuid, jsonb: binaryJsonb, time: binaryTime };

function binaryString(builtin: string): AnyFill | undefined {
  if (TEXTUAL.has(builtin)) return fillCopied;
  const printed = PRINTED[builtin];
  return printed && fillBytes(printed);
}

function textual(type: LeafType): AnyFill | undefined {
  return type.kind === 'string' ? fillCopied : undefined;
}

function binaryWords(builtin: string, type: LeafType, refuse: Unholdable): Fill<FixedLeaf> | undefined {
  if (builtin === 'numeric' && type.kind === 'decimal') {
    return fillWords(binaryDecimal({ ...type, words: wordsOf(type) as 1 | 2 | 4, refuse }), 0);
  }
  const pair = `${builtin} ${type.kind}`;
  if (pair === 'date date') return fillWords(binaryDate(refuse), 4);
  if (/^timestamp(tz)? timestamp(_ntz)?$/.test(pair)) return fillWords(binaryTimestamp(refuse), 8);
  const [put, bytes] = NUMBERS[pair] ?? [];
  return put && fillWords(put, bytes!);
}

/** By what the source sends and what the lake holds. */
const NUMBERS: Readonly<Record<string, readonly [PutWords, number]>> = {
  'bool boolean': [binaryBool, 1],
  'int2 short': [binaryInt2, 2],
  'int2 integer': [binaryInt2, 2],
  'int2 long': [widened(2, false), 2],
  'int4 integer': [binaryInt4, 4],
  'int4 long': [widened(4, false), 4],
  'oid long': [widened(4, true), 4],
  'int8 long': [binaryInt8, 8],
  'float4 float': [binaryInt4, 4],
  'float8 double': [binaryInt8, 8],
};
