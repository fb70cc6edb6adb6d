import { BOOLEAN, DOUBLE, FIXED_LEN_BYTE_ARRAY, FLOAT, INT32, WIDE_DECIMAL } from './physical.js';
import { readLength, type BytesLeaf, type FixedLeaf } from './leaf.js';

/** Whole numbers (booleans as 0 and 1, decimals without their point), floating point numbers, or bytes. */
export type Bound = bigint | number | Uint8Array;

export interface Bounds {
  readonly min: Bound;
  readonly max: Bound;
}

/** The values to look at, by their numbers. Absent: all. */
export interface Chosen {
  readonly firsts: Int32Array;
  readonly entries: number;
}

/** The least and the greatest value; undefined where there is none, or a NaN among them. */
export function boundsOf(leaf: FixedLeaf, physical: number, chosen?: Chosen): Bounds | undefined {
  const count = chosen?.entries ?? leaf.count;
  if (count === 0) return undefined;
  if (physical === FLOAT) return floatBounds(new Float32Array(leaf.ints.buffer, 0, leaf.count), count, chosen?.firsts);
  if (physical === DOUBLE) return floatBounds(new Float64Array(leaf.ints.buffer, 0, leaf.count), count, chosen?.firsts);
  if (physical === INT32 || physical === BOOLEAN) return singleBounds(leaf.ints, count, chosen?.firsts);
  return wordBounds(leaf, count, chosen?.firsts);
}

function singleBounds(ints: Int32Array, count: number, firsts?: Int32Array): Bounds {
  let min = ints[firsts ? firsts[0]! : 0]!;
  let max = min;
  for (let index = 1; index < count; index++) {
    const value = ints[firsts ? firsts[index]! : index]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min: BigInt(min), max: BigInt(max) };
}

/** Zeros of either sign are equal to readers, so the least zero is negative, and the greatest positive. */
function floatBounds(values: Float32Array | Float64Array, count: number, firsts?: Int32Array): Bounds | undefined {
  let min = Infinity;
  let max = -Infinity;
  for (let index = 0; index < count; index++) {
    const value = values[firsts ? firsts[index]! : index]!;
    if (value !== value) return undefined;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min: min === 0 ? -0 : min, max: max === 0 ? 0 : max };
}

function wordBounds(leaf: FixedLeaf, count: number, firsts?: Int32Array): Bounds {
  let min = firsts ? firsts[0]! : 0;
  let max = min;
  for (let index = 1; index < count; index++) {
    const value = firsts ? firsts[index]! : index;
    if (lessThan(leaf, value, min)) min = value;
    else if (lessThan(leaf, max, value)) max = value;
  }
  return { min: wholeAt(leaf, min), max: wholeAt(leaf, max) };
}

function lessThan({ ints, words }: FixedLeaf, one: number, other: number): boolean {
  if (words === 4) return wideAt(ints, one) < wideAt(ints, other);
  const [high, otherHigh] = [ints[one * 2 + 1]!, ints[other * 2 + 1]!];
  if (high !== otherHigh) return high < otherHigh;
  return ints[one * 2]! >>> 0 < ints[other * 2]! >>> 0;
}

function wholeAt({ ints, words }: FixedLeaf, index: number): bigint {
  if (words === 4) return wideAt(ints, index);
  return (BigInt(ints[index * 2 + 1]!) << 32n) | BigInt(ints[index * 2]! >>> 0);
}

/** Its bytes stand with the highest first. */
function wideAt(ints: Int32Array, index: number): bigint {
  const view = new DataView(ints.buffer, index * WIDE_DECIMAL);
  return (view.getBigInt64(0) << 64n) | view.getBigUint64(8);
}

/** In the order of their bytes, which is that of code points for texts. `longest`: so many bytes of each are kept. */
export function bytesBounds({ data, view, kept }: BytesLeaf, longest = Infinity): Bounds | undefined {
  if (kept === 0) return undefined;
  let min = 0;
  let max = 0;
  let least = prefix(view, min);
  let greatest = least;
  for (let index = 0, at = 0; index < kept; index++, at += 4 + view.getInt32(at, true)) {
    const first = prefix(view, at);
    if (first > least && first < greatest) continue;
    if (compareAt(data, at, min) < 0) [min, least] = [at, first];
    else if (compareAt(data, at, max) > 0) [max, greatest] = [at, first];
  }
  const copy = (at: number) => data.slice(at + 4, at + 4 + Math.min(readLength(data, at), longest));
  return { min: copy(min), max: copy(max) };
}

/** A value's first four bytes as a number, 0 for those that it has not: where two differ, the values do in the same way. */
function prefix(view: DataView, at: number): number {
  const length = view.getInt32(at, true);
  if (length >= 4) return view.getUint32(at + 4);
  return length === 0 ? 0 : (view.getUint32(at + 4) & (-1 << (32 - 8 * length))) >>> 0;
}

function compareAt(data: Uint8Array, one: number, other: number): number {
  const [length, otherLength] = [readLength(data, one), readLength(data, other)];
  const shorter = Math.min(length, otherLength);
  for (let index = 4; index < shorter + 4; index++) {
    const difference = data[one + index]! - data[other + index]!;
    if (difference !== 0) return difference;
  }
  return length - otherLength;
}

export function compareBounds(one: Bound, other: Bound): number {
  if (one instanceof Uint8Array) return Buffer.compare(one, other as Uint8Array);
  if (Object.is(one, other)) return 0;
  if (one === other) return Object.is(one, -0) ? -1 : 1;
  return one < (other as typeof one) ? -1 : 1;
}

/** As PLAIN encoding has it, bytes without their length. */
export function boundBytes(bound: Bound, physical: number): Uint8Array {
  if (bound instanceof Uint8Array) return bound;
  const bytes = Buffer.alloc(16);
  if (physical === FLOAT) return bytes.subarray(0, bytes.writeFloatLE(Number(bound)));
  if (physical === DOUBLE) return bytes.subarray(0, bytes.writeDoubleLE(Number(bound)));
  if (physical === BOOLEAN) return Uint8Array.of(Number(bound));
  if (physical === INT32) return bytes.subarray(0, bytes.writeInt32LE(Number(bound)));
  if (physical !== FIXED_LEN_BYTE_ARRAY) return bytes.subarray(0, bytes.writeBigInt64LE(bound as bigint));
  bytes.writeBigInt64BE((bound as bigint) >> 64n, 0);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, bound as bigint), 8);
  return bytes;
}

/** What a footer has of a value of many bytes. */
export interface ShortBound {
  readonly bytes: Uint8Array;
  readonly exact: boolean;
}

const FOOTER_BYTES = 64;

/** Its first bytes, of whole characters: no value is less. */
export function shortMin(bytes: Uint8Array, text: boolean): ShortBound {
  if (bytes.length <= FOOTER_BYTES) return { bytes, exact: true };
  return { bytes: bytes.subarray(0, text ? wholeCharacters(bytes, FOOTER_BYTES) : FOOTER_BYTES), exact: false };
}

/** Its first bytes with the last that can be made one more: no value is greater. Undefined: there is none such. */
export function shortMax(bytes: Uint8Array, text: boolean): ShortBound | undefined {
  if (bytes.length <= FOOTER_BYTES) return { bytes, exact: true };
  const last = text ? 0x7e : 0xfe;
  const from = text ? wholeCharacters(bytes, FOOTER_BYTES) : FOOTER_BYTES;
  let at = from - 1;
  while (at >= 0 && bytes[at]! > last) at--;
  if (at < 0) return undefined;
  const more = bytes.slice(0, at + 1);
  more[at]!++;
  return { bytes: more, exact: false };
}

function wholeCharacters(bytes: Uint8Array, limit: number): number {
  let end = limit;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return end;
}
