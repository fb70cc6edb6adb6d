/** Bytes of a row that has come in part: they wait for its rest. */
export class Carry {
  bytes: Uint8Array = new Uint8Array(FIRST);
  length = 0;

  append(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.length + to - from;
    if (needed > this.bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    this.bytes.set(bytes.subarray(from, to), this.length);
    this.length = needed;
  }

  /** Takes the first `taken` bytes off. */
  drop(taken: number): void {
    this.bytes.copyWithin(0, taken, this.length);
    this.length -= taken;
    if (this.length === 0 && this.bytes.length > KEPT) this.bytes = new Uint8Array(FIRST);
  }
}

const FIRST = 64 * 1024;
/** One huge row shall not hold memory for good. */
const KEPT = 8 << 20;
