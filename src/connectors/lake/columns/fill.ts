import { ValueRefused, type Batch } from './batch.js';
import type { PutBytes } from './byte-values.js';
import { writeLength, type BytesLeaf, type FixedLeaf } from '../parquet-writer/leaf.js';
import type { PutWords } from './put.js';

/** Adds one field of all rows of a batch to a leaf. Throws ValueRefused with its row. */
export type Fill<L> = (batch: Batch, field: number, leaf: L) => void;

/** `bytes`: what every value has; 0: it differs. */
export function fillWords(put: PutWords, bytes: number): Fill<FixedLeaf> {
  return (batch, field, leaf) => {
    const { starts, lengths, fields, rows } = batch;
    leaf.reserve(rows);
    const { ints, present, words } = leaf;
    let count = leaf.count;
    let slot = leaf.slots;
    for (let row = 0, at = field; row < rows; row++, at += fields) {
      const length = lengths[at]!;
      if (length < 0) {
        present[slot++] = 0;
        continue;
      }
      if (bytes > 0 && length !== bytes) throw wrongLength(row);
      const there = atRow(row, put, batch, starts[at]!, length, ints, count * words);
      present[slot++] = there ? 1 : 0;
      if (there) count++;
    }
    leaf.advance(slot, count);
  };
}

function atRow(
  row: number,
  put: PutWords,
  batch: Batch,
  at: number,
  length: number,
  ints: Int32Array,
  to: number,
): boolean {
  try {
    return put(batch, at, length, ints, to);
  } catch (error) {
    throw located(error, row);
  }
}

/** A loop longer than a call into the runtime takes. */
const SHORT = 48;

/** Values that are taken as they come. */
export const fillCopied: Fill<BytesLeaf> = ({ bytes, starts, lengths, fields, rows }, field, leaf) => {
  leaf.reserve(rows);
  let slot = leaf.slots;
  let count = leaf.count;
  let to = leaf.at;
  let { data } = leaf;
  const { present } = leaf;
  for (let row = 0, at = field; row < rows; row++, at += fields) {
    const length = lengths[at]!;
    if (length < 0) {
      present[slot++] = 0;
      continue;
    }
    if (to + length + 4 > data.length) {
      leaf.at = to;
      leaf.reserveBytes(length + 4);
      data = leaf.data;
    }
    writeLength(data, to, length);
    to += 4;
    const start = starts[at]!;
    if (length > SHORT) data.set(bytes.subarray(start, start + length), to);
    else for (let index = 0; index < length; index++) data[to + index] = bytes[start + index]!;
    to += length;
    present[slot++] = 1;
    count++;
  }
  leaf.advance(slot, count, to);
};

export function fillBytes({ room, put }: PutBytes): Fill<BytesLeaf> {
  return (batch, field, leaf) => {
    const { starts, lengths, fields, rows } = batch;
    leaf.reserve(rows);
    for (let row = 0, at = field; row < rows; row++, at += fields) {
      const length = lengths[at]!;
      leaf.present[leaf.slots] = length < 0 ? 0 : 1;
      leaf.slots++;
      if (length < 0) continue;
      leaf.reserveBytes(room(length) + 4);
      try {
        const written = put(batch, starts[at]!, length, leaf.data, leaf.at + 4);
        writeLength(leaf.data, leaf.at, written);
        leaf.at += 4 + written;
        leaf.count++;
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

function wrongLength(row: number): unknown {
  return located(new ValueRefused('its length is not that of its type'), row);
}
