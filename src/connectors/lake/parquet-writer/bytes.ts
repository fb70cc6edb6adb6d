/** A growing buffer that is used over and over: pages are put together in it. */
export class Scratch {
  bytes: Uint8Array = new Uint8Array(1 << 20);
  at = 0;

  clear(): void {
    this.at = 0;
    if (this.bytes.length > KEPT) this.bytes = new Uint8Array(1 << 20);
  }

  reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 1.5, this.at + more));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
  }

  add(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.at++] = value;
  }

  varint(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.byte((rest & 0x7f) | 0x80);
    this.byte(rest);
  }

  /** What was written. Its memory is lent until the next write. */
  taken(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }
}

/** A buffer of more than this is given back after its page. */
const KEPT = 4 << 20;
