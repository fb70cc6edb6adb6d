import type { Batch } from './batch.js';

/**
 * Decodes one value that is not NULL, `length` bytes at `at` of the batch, into the words at `to`. False: it is NULL in the lake, being out of
 * what its type holds. Throws ValueRefused.
 */
export type PutWords = (batch: Batch, at: number, length: number, ints: Int32Array, to: number) => boolean;

const TWO_32 = 4294967296;

/** A whole number that a double holds exactly, as one, two or four words. */
export function putWhole(value: number, words: 1 | 2 | 4, ints: Int32Array, to: number): void {
  if (words === 1) {
    ints[to] = value;
    return;
  }
  if (words === 2 && value === (value | 0)) {
    ints[to] = value;
    ints[to + 1] = value >> 31;
    return;
  }
  const high = Math.floor(value / TWO_32);
  const low = (value - high * TWO_32) | 0;
  if (words === 2) {
    ints[to] = low;
    ints[to + 1] = high;
    return;
  }
  putWide(high < 0 ? -1 : 0, high < 0 ? -1 : 0, high, low, ints, to);
}

export function putBigInt(value: bigint, words: 1 | 2 | 4, ints: Int32Array, to: number): void {
  const word = (shift: bigint) => Number(BigInt.asIntN(32, value >> shift));
  if (words === 4) {
    putWide(word(96n), word(64n), word(32n), word(0n), ints, to);
    return;
  }
  ints[to] = word(0n);
  if (words === 2) ints[to + 1] = word(32n);
}

/** Four words, the highest first, each with its highest byte first, as Parquet has long decimals. */
function putWide(w3: number, w2: number, w1: number, w0: number, ints: Int32Array, to: number): void {
  ints[to] = swapped(w3);
  ints[to + 1] = swapped(w2);
  ints[to + 2] = swapped(w1);
  ints[to + 3] = swapped(w0);
}

function swapped(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
