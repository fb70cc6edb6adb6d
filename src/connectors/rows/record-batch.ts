import { isUtf8 } from 'node:buffer';
import type { MalformedRow, Place, Row, RowBatch } from '../types.js';
import type { RecordBlock } from './record-blocks.js';
import { withoutLineBreak } from './record-scanner.js';

/** How one record becomes a row. */
export interface RecordReader {
  /** The row, or what is wrong with the record. Undefined: there is none here. */
  read(record: string): Row | string | undefined;
  /** What is wrong with a record that isn't UTF-8. */
  notUtf8(record: Buffer): string;
}

export function batchOf(block: RecordBlock, reader: RecordReader): RowBatch {
  const records = block.ends.map((_, index) => recordBytes(block, index));
  const valid = isUtf8(block.bytes);
  const rows: Row[] = [];
  const indexes: number[] = [];
  const malformed: MalformedRow[] = [];
  for (const [index, bytes] of records.entries()) {
    const read = valid || isUtf8(bytes) ? reader.read(bytes.toString('utf8')) : reader.notUtf8(bytes);
    if (read === undefined) continue;
    if (typeof read === 'string') {
      malformed.push({ raw: rawText(bytes), place: placeOf(block, index), error: read });
    } else {
      rows.push(read);
      indexes.push(index);
    }
  }
  return {
    rows,
    bytes: block.bytes.length,
    ...(malformed.length === 0 ? {} : { malformed }),
    raw: (row) => rawText(records[indexes[row]!]!),
    place: (row) => placeOf(block, indexes[row]!),
  };
}

function recordBytes({ bytes, ends }: RecordBlock, index: number): Buffer {
  return withoutLineBreak(bytes.subarray(index === 0 ? 0 : ends[index - 1]!, ends[index]));
}

function placeOf({ file, lines }: RecordBlock, index: number): Place {
  return { ...(file === undefined ? {} : { file }), line: lines[index]! };
}

/** Itself, for a person and for a text column: NUL as its picture, what is no UTF-8 as U+FFFD. */
function rawText(record: Buffer): string {
  return record.toString('utf8').replaceAll('\0', '\u2400');
}
