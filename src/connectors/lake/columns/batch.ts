/**
 * Some rows of a stream, found but not decoded: where each of their fields lies in one buffer. Fields stand column by
 * column: that of row r and field f at `f * capacity + r`. It is filled, decoded column by column, and cleared before its buffer is reused.
 */
export class Batch {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  readonly starts: Int32Array;
  /** -1: NULL. */
  readonly lengths: Int32Array;
  rows = 0;
  /** Rows that it has place for. */
  readonly capacity: number;

  constructor(
    readonly fields: number,
    capacity = rowsFor(fields),
  ) {
    this.capacity = capacity;
    this.starts = new Int32Array(capacity * fields);
    this.lengths = new Int32Array(capacity * fields);
  }

  get full(): boolean {
    return this.rows === this.capacity;
  }

  /** Its rows are in this buffer; there are none yet. */
  over(bytes: Uint8Array): void {
    if (this.bytes === bytes) return;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Its rows are these of another, at most its capacity. */
  take(from: Batch, rows: readonly number[]): void {
    this.over(from.bytes);
    this.rows = rows.length;
    for (let field = 0; field < this.fields; field++) {
      const [to, begin] = [field * this.capacity, field * from.capacity];
      for (let row = 0; row < rows.length; row++) {
        this.starts[to + row] = from.starts[begin + rows[row]!]!;
        this.lengths[to + row] = from.lengths[begin + rows[row]!]!;
      }
    }
  }
}

/** Few enough that the bytes of a batch are still near when its last column is decoded. */
const FIELDS = 16 * 1024;
/** Places in a line of the processor's cache. */
const LINE = 16;

/** An odd number of lines: where columns lie a power of two apart, a row's fields all fall on the same few places of the cache. */
function rowsFor(fields: number): number {
  return (Math.floor(FIELDS / fields / LINE) | 1) * LINE;
}

/** A value that its column can't hold: which row of the batch, and why, without the value. */
export class ValueRefused extends Error {
  override readonly name = 'ValueRefused';
  /** In the batch, from 0 on. Set by whoever knows. */
  row = -1;

  constructor(readonly why: string) {
    super(why);
  }
}
