import { ValueRefused, type Batch } from './batch.js';
import { putBigInt, putWhole, type PutWords } from './put.js';

export const binaryInt2: PutWords = ({ view }, at, _length, ints, to) => {
  ints[to] = view.getInt16(at);
  return true;
};

export const binaryInt4: PutWords = ({ view }, at, _length, ints, to) => {
  ints[to] = view.getInt32(at);
  return true;
};

/** float8 is moved the same way: eight bytes, the highest first. */
export const binaryInt8: PutWords = ({ view }, at, _length, ints, to) => {
  ints[to] = view.getInt32(at + 4);
  ints[to + 1] = view.getInt32(at);
  return true;
};

/** A whole number of fewer bytes for a column of `long`. */
export function widened(bytes: 2 | 4, unsigned: boolean): PutWords {
  return ({ view }, at, _length, ints, to) => {
    const value = bytes === 2 ? view.getInt16(at) : unsigned ? view.getUint32(at) : view.getInt32(at);
    putWhole(value, 2, ints, to);
    return true;
  };
}

export const binaryBool: PutWords = ({ bytes }, at, _length, ints, to) => {
  ints[to] = bytes[at] === 0 ? 0 : 1;
  return true;
};

const LIMITS: Readonly<Record<number, bigint>> = { 8: 1n << 7n, 16: 1n << 15n, 32: 1n << 31n, 64: 1n << 63n };
/** Decimal digits, and a sign, that a double holds exactly. */
const SAFE_LENGTH = 15;

/** Whole numbers as text, for a column of so many bits. */
export function textInteger(bits: 8 | 16 | 32 | 64): PutWords {
  const words = bits === 64 ? 2 : 1;
  const limit = Number(LIMITS[bits]!);
  return (batch, at, length, ints, to) => {
    const { bytes } = batch;
    const negative = bytes[at] === 0x2d;
    let value = 0;
    let next = negative ? at + 1 : at;
    const end = at + length;
    if (length > SAFE_LENGTH || next === end) return largeInteger(batch, at, length, bits, ints, to);
    for (; next < end; next++) {
      const digit = bytes[next]! - 0x30;
      if (!(digit >= 0 && digit <= 9)) return largeInteger(batch, at, length, bits, ints, to);
      value = value * 10 + digit;
    }
    if (value > (negative ? limit : limit - 1)) throw tooLarge(bits);
    putWhole(negative ? -value : value, words, ints, to);
    return true;
  };
}

function largeInteger(batch: Batch, at: number, length: number, bits: number, ints: Int32Array, to: number): boolean {
  const text = textOf(batch, at, length);
  if (!/^[+-]?\d+$/.test(text)) throw new ValueRefused('it is no whole number');
  const value = BigInt(text.replace(/^\+/, ''));
  const limit = LIMITS[bits]!;
  if (value >= limit || value < -limit) throw tooLarge(bits);
  putBigInt(value, bits === 64 ? 2 : 1, ints, to);
  return true;
}

function tooLarge(bits: number): ValueRefused {
  return new ValueRefused(`its number is too large for a whole number of ${bits} bits`);
}

const WORDS: Readonly<Record<string, number>> = {
  ...{ t: 1, true: 1, y: 1, yes: 1, on: 1, 1: 1, f: 0, false: 0, n: 0, no: 0, off: 0, 0: 0 },
};

export const textBool: PutWords = (batch, at, length, ints, to) => {
  const value = WORDS[textOf(batch, at, length).toLowerCase()];
  if (value === undefined) throw new ValueRefused('it is neither true nor false');
  ints[to] = value;
  return true;
};

/** Doubles as text, and numbers of any kind where a mapping says so. */
export function textDouble(single: boolean): PutWords {
  const view = new DataView(new ArrayBuffer(8));
  return (batch, at, length, ints, to) => {
    const value = doubleOf(textOf(batch, at, length));
    if (single) {
      view.setFloat32(0, value, true);
      if (!Number.isFinite(view.getFloat32(0, true)) && Number.isFinite(value)) throw tooFar();
      ints[to] = view.getInt32(0, true);
      return true;
    }
    view.setFloat64(0, value, true);
    ints[to] = view.getInt32(0, true);
    ints[to + 1] = view.getInt32(4, true);
    return true;
  };
}

function doubleOf(text: string): number {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    const value = Number(text);
    if (Number.isFinite(value)) return value;
    throw tooFar();
  }
  if (/^nan$/i.test(text)) return NaN;
  if (/^\+?inf(inity)?$/i.test(text)) return Infinity;
  if (/^-inf(inity)?$/i.test(text)) return -Infinity;
  throw new ValueRefused('it is no number');
}

function tooFar(): ValueRefused {
  return new ValueRefused("its number is out of the range of its column's type");
}

function textOf({ bytes }: Batch, at: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, length)
    .toString('latin1')
    .trim();
}
