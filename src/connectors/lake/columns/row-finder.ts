import { Batch } from './batch.js';
import { Carry } from './carry.js';
import type { PayloadSink } from './payloads.js';

/** Finds rows in the data of a COPY, and hands them on in batches. */
export abstract class RowFinder implements PayloadSink {
  protected readonly carry = new Carry();
  protected readonly batch: Batch;

  constructor(
    fields: number,
    private readonly decode: (batch: Batch) => void,
  ) {
    this.batch = new Batch(fields);
  }

  piece(bytes: Uint8Array, from: number, to: number): void {
    const at = this.carry.length === 0 ? from : this.#throughCarry(bytes, from, to);
    if (at === to) return;
    const end = this.#rows(bytes, at, to);
    if (end < to) this.carry.append(bytes, end, to);
  }

  /** None: each comes as a piece. */
  frames(_bytes: Uint8Array, from: number, _to: number): number {
    return from;
  }

  /** Decodes what was found: before the buffer is used for other bytes. */
  flush(): void {
    if (this.batch.rows > 0) this.decode(this.batch);
    this.batch.rows = 0;
  }

  /** Throws when the stream can't end here. */
  abstract end(): void;

  /** Adds the whole rows of [from, to) to the batch until it is full; answers where the next begins. */
  protected abstract find(bytes: Uint8Array, from: number, to: number): number;

  /** How many bytes of [from, to) surely belong to the row that has begun in `carry`, or may: all of them, if it can't be told. */
  protected abstract belonging(bytes: Uint8Array, from: number, to: number): number;

  #throughCarry(bytes: Uint8Array, from: number, to: number): number {
    const taken = this.belonging(bytes, from, to);
    this.carry.append(bytes, from, from + taken);
    this.flush();
    const end = this.#rows(this.carry.bytes, 0, this.carry.length);
    this.flush();
    this.carry.drop(end);
    return from + taken;
  }

  #rows(bytes: Uint8Array, from: number, to: number): number {
    this.over(bytes);
    let at = from;
    for (;;) {
      at = this.find(bytes, at, to);
      if (!this.batch.full) return at;
      this.flush();
    }
  }

  /** What is found next is in this buffer. */
  protected over(bytes: Uint8Array): void {
    if (this.batch.bytes === bytes) return;
    this.flush();
    this.batch.over(bytes);
  }
}
