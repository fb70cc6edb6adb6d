import { isUtf8 } from 'node:buffer';
import type { LogicalType, ParquetType } from 'hyparquet';
import { unstorable } from '../json-text.js';
import type { Value } from '../../types.js';
import type { Element } from './annotation.js';
import { dateText, timestampText, timeText } from './iso-text.js';

export type Scalar = Extract<Value, null | boolean | number | bigint | string | Uint8Array>;

/** How the physical values of a leaf of the schema become exact ones. */
export interface Leaf {
  /** Of a value that is there. Throws Unfit. */
  readonly value: (physical: unknown) => Scalar;
  /** As they are printed, its values are JSON. */
  readonly json?: true;
  /** Its values are texts of any content. */
  readonly text?: true;
}

/** What can't be a value of the column, and why. */
export class Unfit extends Error {}

/** A text's bytes; themselves when they are no UTF-8. */
export function decodeText(bytes: Uint8Array): string | Uint8Array {
  return isUtf8(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : bytes;
}

/** For a column of this type, or for JSON. Undefined: there are no exact values of it. */
export function leafOf({ type, annotation }: Element, columnType: string): Leaf | undefined {
  switch (annotation?.type) {
    case undefined:
      return plainLeaf(type, columnType);
    case 'STRING':
    case 'ENUM':
      return { value: textValue, text: true };
    case 'JSON':
      return { value: textValue, text: true, json: true };
    case 'DECIMAL':
      return { value: (physical) => decimalText(integerOf(physical), annotation.scale), json: true };
    case 'INTEGER':
      return { value: integerValue(annotation), json: true };
    case 'FLOAT16':
      return { value: (physical) => floatValue(float16(physical as Uint8Array)), json: true };
    case 'DATE':
      return { value: (physical) => dateText(physical as number) };
    case 'TIME':
      return timeLeaf(annotation, columnType);
    case 'TIMESTAMP':
      return timestampLeaf(annotation);
    case 'UUID':
      return { value: (physical) => uuidText(physical as Uint8Array) };
    case 'NULL':
      return { value: () => null };
    default:
      return undefined;
  }
}

function plainLeaf(type: ParquetType | undefined, columnType: string): Leaf | undefined {
  switch (type) {
    case 'BOOLEAN':
      return { value: (physical) => physical as boolean, json: true };
    case 'INT32':
    case 'INT64':
      return { value: (physical) => physical as number | bigint, json: true };
    case 'INT96':
      return timestampLeaf({ isAdjustedToUTC: false, unit: 'NANOS' });
    case 'FLOAT':
    case 'DOUBLE':
      return { value: (physical) => floatValue(physical as number), json: true };
    case 'BYTE_ARRAY':
    case 'FIXED_LEN_BYTE_ARRAY':
      return columnType === 'bytea'
        ? { value: (physical) => physical as Uint8Array }
        : { value: bytesAsText, text: true };
    case undefined:
      return undefined;
  }
}

/** Some writers don't say of their texts that they are. */
function bytesAsText(physical: unknown): string {
  return textValue(decodeText(physical as Uint8Array));
}

function textValue(physical: unknown): string {
  if (typeof physical !== 'string') throw new Unfit('is not UTF-8');
  const bad = unstorable(physical);
  if (bad !== undefined) throw new Unfit(`has ${bad}`);
  return physical;
}

/** A float's own sign is lost where 0 is printed. */
function floatValue(float: number): number | string {
  return Object.is(float, -0) ? '-0' : float;
}

function integerValue({ bitWidth, isSigned }: Extract<LogicalType, { type: 'INTEGER' }>): Leaf['value'] {
  if (isSigned) return (physical) => physical as number | bigint;
  return (physical) => (typeof physical === 'bigint' ? BigInt.asUintN(bitWidth, physical) : (physical as number) >>> 0);
}

/** Of the two's complement, the highest byte first, where it is bytes. */
function integerOf(physical: unknown): bigint {
  if (!(physical instanceof Uint8Array)) return BigInt(physical as number | bigint);
  if (physical.length === 0) return 0n;
  const hex = Buffer.from(physical.buffer, physical.byteOffset, physical.length).toString('hex');
  return BigInt.asIntN(physical.length * 8, BigInt(`0x${hex}`));
}

function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 0) return unscaled.toString();
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

type Moment = Pick<Extract<LogicalType, { type: 'TIMESTAMP' }>, 'isAdjustedToUTC' | 'unit'>;

function timestampLeaf({ isAdjustedToUTC, unit }: Moment): Leaf {
  const zone = isAdjustedToUTC ? '+00' : '';
  return { value: (physical) => timestampText(micros(physical, unit), zone) };
}

/** Writers say of all times that they are in UTC, so that only the column tells whether there is a zone. */
function timeLeaf({ unit }: Moment, columnType: string): Leaf {
  const zone = /^timetz|with time zone/.test(columnType) ? '+00' : '';
  return { value: (physical) => `${timeText(micros(physical, unit))}${zone}` };
}

function micros(physical: unknown, unit: Moment['unit']): bigint {
  const count = BigInt(physical as number | bigint);
  if (unit === 'MILLIS') return count * 1000n;
  if (unit === 'MICROS') return count;
  if (count % 1000n !== 0n) throw new Unfit('has a time with nanoseconds, and no type holds more than microseconds');
  return count / 1000n;
}

function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** https://en.wikipedia.org/wiki/Half-precision_floating-point_format, the lower byte first. */
function float16(bytes: Uint8Array): number {
  const bits = bytes[0]! | (bytes[1]! << 8);
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = (bits & 0x3ff) / 1024;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * 2 ** -14 * fraction : sign * 2 ** (exponent - 15) * (1 + fraction);
}
