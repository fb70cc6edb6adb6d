import { COPY_DATA, FRAME_HEADER } from '../../postgres/wire/frames.js';
import type { Batch } from './batch.js';
import { RowFinder } from './row-finder.js';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** The signature, flags, and the length of what may follow them. */
const HEADER = SIGNATURE.length + 8;
const TRAILER = -1;
/** Bytes of the count of a row's fields, and of a field's length. */
const COUNT = 2;
const LENGTH = 4;

/** Rows in COPY's binary format: a count of fields, then each with its length before it. */
export class BinaryRows extends RowFinder {
  #begun = false;
  #ended = false;

  end(): void {
    this.flush();
    if (!this.#ended || this.carry.length > 0) throw new Error('the binary stream of a COPY lacks its end');
  }

  /** A server makes a frame of each row: most are found here, in one loop; what is anything else goes the long way. */
  override frames(bytes: Uint8Array, from: number, to: number): number {
    if (!this.#begun || this.carry.length > 0) return from;
    this.over(bytes);
    for (let at = from; ;) {
      at = this.#frames(bytes, at, to);
      if (!this.batch.full) return at;
      this.flush();
    }
  }

  #frames(bytes: Uint8Array, from: number, to: number): number {
    const { batch } = this;
    const { view, fields, capacity } = batch;
    let at = from;
    const last = to - FRAME_HEADER - COUNT;
    while (batch.rows < capacity && at <= last && bytes[at] === COPY_DATA) {
      const end = at + 1 + view.getInt32(at + 1);
      if (end > to || view.getInt16(at + FRAME_HEADER) !== fields) break;
      const next = placeFields(batch, at + FRAME_HEADER + COUNT, end);
      if (next < 0 || next !== end) break;
      at = end;
      batch.rows++;
    }
    return at;
  }

  protected find(bytes: Uint8Array, from: number, to: number): number {
    const start = this.#begun ? from : this.#header(bytes, from, to);
    if (start < 0) return from;
    const { batch } = this;
    const { view, fields, capacity } = batch;
    let at = start;
    while (batch.rows < capacity && at + COUNT <= to) {
      const count = view.getInt16(at);
      if (count !== fields) return this.#endOrThrow(count, at);
      const next = placeFields(batch, at + COUNT, to);
      if (next < 0) return at;
      at = next;
      batch.rows++;
    }
    return at;
  }

  /** A row says nothing of its length, and a frame is a row: it is mostly few bytes. */
  protected belonging(_bytes: Uint8Array, from: number, to: number): number {
    return to - from;
  }

  #endOrThrow(count: number, at: number): number {
    if (count !== TRAILER) {
      throw new Error(`a row of a COPY has ${count} fields, and there are ${this.batch.fields} columns`);
    }
    this.#ended = true;
    return at + 2;
  }

  /** Where the rows begin; -1: the header has not come as a whole. */
  #header(bytes: Uint8Array, from: number, to: number): number {
    if (to - from < HEADER) return -1;
    const extension = this.batch.view.getInt32(from + HEADER - 4);
    if (to - from < HEADER + extension) return -1;
    if (SIGNATURE.compare(bytes, from, from + SIGNATURE.length) !== 0) {
      throw new Error('what should be the binary stream of a COPY is none');
    }
    this.#begun = true;
    return from + HEADER + extension;
  }
}

/** Notes where the fields of the batch's next row are, from `at` on; answers where the row ends, -1: not before `to`. */
function placeFields({ view, starts, lengths, fields, capacity, rows }: Batch, at: number, to: number): number {
  const last = rows + fields * capacity;
  let next = at;
  for (let field = rows; field < last; field += capacity) {
    if (next + LENGTH > to) return -1;
    const length = view.getInt32(next);
    next += LENGTH;
    starts[field] = next;
    lengths[field] = length;
    if (length > 0) next += length;
  }
  return next > to ? -1 : next;
}
