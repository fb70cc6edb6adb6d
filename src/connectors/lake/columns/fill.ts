import { ValueRefused, type Batch } from './batch.js';
import type { PutBytes } from './byte-values.js';
import type { BytesDictionary } from '../parquet-writer/bytes-dictionary.js';
import type { BytesLeaf, FixedLeaf } from '../parquet-writer/leaf.js';
import type { PutWords } from './put.js';

/** Adds one field of all rows of a batch to a leaf. Throws ValueRefused with its row. */
export type Fill<L> = (batch: Batch, field: number, leaf: L) => void;

/** `bytes`: what every value has; 0: it differs. */
export function fillWords(put: PutWords, bytes: number): Fill<FixedLeaf> {
  const loop = ownLoop(put);
  return (batch, field, leaf) => {
    leaf.reserve(batch.rows);
    const stopped = loop(batch, field, leaf, bytes);
    if (stopped >= 0) throw located(new ValueRefused('its length is not that of its type'), stopped);
  };
}

/** Answers with the row whose value has not `bytes` bytes, or -1. */
type WordLoop = (batch: Batch, field: number, leaf: FixedLeaf, bytes: number) => number;

/**
 * The loop over the rows, as a function of its own for each column. The engine compiles a function by what it was called with, and then puts
 * `put` right into it: with one loop for all columns, each value costs four times as much. Nothing but `put` goes into the source text.
 */
function ownLoop(put: PutWords): WordLoop {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  const make = new Function('put', 'located', `return ${LOOP}`) as (...given: unknown[]) => WordLoop;
  return make(put, located);
}

const LOOP = `(batch, field, leaf, bytes) => {
  const { starts, lengths, capacity, rows } = batch;
  const { ints, present, words } = leaf;
  let count = leaf.count;
  let slot = leaf.slots;
  let row = 0;
  try {
    for (let at = field * capacity; row < rows; row++, at++) {
      const length = lengths[at];
      if (length < 0) {
        present[slot++] = 0;
        continue;
      }
      if (bytes > 0 && length !== bytes) return row;
      const there = put(batch, starts[at], length, ints, count * words) ? 1 : 0;
      present[slot++] = there;
      count += there;
    }
  } catch (error) {
    throw located(error, row);
  }
  leaf.advance(slot, count);
  return -1;
}`;

/** Longer values are copied by a call into the runtime, shorter ones by words of four bytes, which may write up to three too many. */
const SHORT = 64;

/** Values that are taken as they come. */
export const fillCopied: Fill<BytesLeaf> = (batch, field, leaf) => {
  leaf.reserve(batch.rows);
  const coded = leaf.dictionary ? fillCoded(batch, field, leaf, leaf.dictionary) : 0;
  if (coded < batch.rows) fillPlain(batch, field, leaf, coded);
};

/** Answers with the row at which the dictionary was given up, which is not taken yet. */
function fillCoded(batch: Batch, field: number, leaf: BytesLeaf, dictionary: BytesDictionary): number {
  const { bytes, view, starts, lengths, capacity, rows } = batch;
  dictionary.reserve(leaf.count + rows);
  const { present } = leaf;
  const { indices } = dictionary;
  const end = bytes.length - 3;
  let [slot, count] = [leaf.slots, leaf.count];
  for (let row = 0, at = field * capacity; row < rows; row++, at++) {
    const length = lengths[at]!;
    if (length < 0) {
      present[slot++] = 0;
      continue;
    }
    const start = starts[at]!;
    let entry = start + length < end ? dictionary.find(leaf.view, view, start, length) : -1;
    if (entry < 0) {
      leaf.advance(slot, count, leaf.at);
      leaf.reserveBytes(length + 4);
      leaf.data.set(bytes.subarray(start, start + length), leaf.at + 4);
      entry = leaf.code(length);
      if (entry < 0) return row;
    }
    indices[count++] = entry;
    present[slot++] = 1;
  }
  leaf.advance(slot, count, leaf.at);
  return rows;
}

function fillPlain(batch: Batch, field: number, leaf: BytesLeaf, from: number): void {
  const { bytes, view, starts, lengths, capacity, rows } = batch;
  const end = bytes.length - 3;
  leaf.reserveBytes(bytesOf(batch, field) + rows * 4);
  const { present, data, view: into } = leaf;
  let slot = leaf.slots;
  let count = leaf.count;
  let to = leaf.at;
  for (let row = from, at = field * capacity + from; row < rows; row++, at++) {
    const length = lengths[at]!;
    if (length < 0) {
      present[slot++] = 0;
      continue;
    }
    into.setInt32(to, length, true);
    to += 4;
    const start = starts[at]!;
    if (length > SHORT || start + length >= end) data.set(bytes.subarray(start, start + length), to);
    else
      for (let index = 0; index < length; index += 4)
        into.setInt32(to + index, view.getInt32(start + index, true), true);
    to += length;
    present[slot++] = 1;
    count++;
  }
  leaf.advance(slot, count, to);
}

function bytesOf({ lengths, capacity, rows }: Batch, field: number): number {
  let sum = 0;
  for (let row = 0, at = field * capacity; row < rows; row++, at++) sum += Math.max(lengths[at]!, 0);
  return sum;
}

export function fillBytes(values: PutBytes): Fill<BytesLeaf> {
  return (batch, field, leaf) => {
    const { starts, lengths, capacity, rows } = batch;
    leaf.reserve(rows);
    for (let row = 0, at = field * capacity; row < rows; row++, at++) {
      const length = lengths[at]!;
      if (length < 0) {
        leaf.present[leaf.slots++] = 0;
        continue;
      }
      leaf.reserveBytes(values.room(length) + 4);
      try {
        leaf.take(values.put(batch, starts[at]!, length, leaf.data, leaf.at + 4));
      } catch (error) {
        throw located(error, row);
      }
    }
  };
}

export function located(error: unknown, row: number): unknown {
  if (error instanceof ValueRefused && error.row < 0) error.row = row;
  return error;
}
