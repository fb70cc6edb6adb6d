import { RowFinder } from './row-finder.js';

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1');
/** The signature, flags, and the length of what may follow them. */
const HEADER = SIGNATURE.length + 8;
const TRAILER = -1;

/** Rows in COPY's binary format: a count of fields, then each with its length before it. */
export class BinaryRows extends RowFinder {
  #begun = false;
  #ended = false;

  end(): void {
    this.flush();
    if (!this.#ended || this.carry.length > 0) throw new Error('the binary stream of a COPY lacks its end');
  }

  protected find(bytes: Uint8Array, from: number, to: number): number {
    const start = this.#begun ? from : this.#header(bytes, from, to);
    if (start < 0) return from;
    const { batch } = this;
    const { view, starts, lengths, fields, capacity } = batch;
    let at = start;
    while (batch.rows < capacity && at + 2 <= to) {
      const count = view.getInt16(at);
      if (count !== fields) return this.#endOrThrow(count, at);
      const last = batch.rows + fields * capacity;
      let next = at + 2;
      for (let field = batch.rows; field < last; field += capacity) {
        if (next + 4 > to) return at;
        const length = view.getInt32(next);
        next += 4;
        starts[field] = next;
        lengths[field] = length;
        if (length > 0) next += length;
      }
      if (next > to) return at;
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
