import { COPY_DATA, FRAME_HEADER } from '../../postgres/wire/frames.js';

/** Takes a piece of a COPY's data, in order, cut anywhere. */
export interface PayloadSink {
  piece(bytes: Uint8Array, from: number, to: number): void;
  /** Takes whole frames from `from` on, headers included, while they are what it expects; answers where the next begins, before `to`. */
  frames(bytes: Uint8Array, from: number, to: number): number;
}

/** Takes the headers of CopyData frames off a stream that chunks split anywhere. Nothing is copied. */
export class Payloads {
  /** Bytes of the current frame's payload that are still to come. */
  #left = 0;
  /** Bytes of the current header that came, and what its length is so far. */
  #header = 0;
  #length = 0;

  constructor(private readonly sink: PayloadSink) {}

  /** True between two frames. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#header === 0;
  }

  walk(bytes: Uint8Array, from: number, to: number): void {
    let at = this.#rest(bytes, from, to);
    while (at + FRAME_HEADER <= to) {
      const taken = this.sink.frames(bytes, at, to);
      if (taken > at) {
        at = taken;
        continue;
      }
      requireCopyData(bytes[at]!);
      const end = at + 1 + lengthAt(bytes, at + 1);
      if (end > to) {
        this.sink.piece(bytes, at + FRAME_HEADER, to);
        this.#left = end - to;
        return;
      }
      this.sink.piece(bytes, at + FRAME_HEADER, end);
      at = end;
    }
    if (at < to) this.#rest(bytes, at, to);
  }

  /** The end of the frame that was begun in an earlier chunk, or a header that this chunk cuts. */
  #rest(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    if (this.#left === 0 && (this.#header > 0 || to - at < FRAME_HEADER)) {
      while (at < to && this.#header < FRAME_HEADER) this.#headerByte(bytes[at++]!);
      if (this.#header < FRAME_HEADER) return at;
      this.#header = 0;
      this.#left = this.#length - 4;
    }
    const end = Math.min(to, at + this.#left);
    if (end > at) this.sink.piece(bytes, at, end);
    this.#left -= end - at;
    return this.#left === 0 && at !== from && end < to && to - end < FRAME_HEADER ? this.#rest(bytes, end, to) : end;
  }

  #headerByte(byte: number): void {
    if (this.#header === 0) requireCopyData(byte);
    this.#length = this.#header === 0 ? 0 : this.#length * 256 + byte;
    if (++this.#header === FRAME_HEADER && (this.#length < 4 || this.#length > 0x7fffffff))
      throw impossible(this.#length);
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const length = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (length < 4) throw impossible(length);
  return length;
}

function requireCopyData(type: number): void {
  if (type !== COPY_DATA) throw new Error(`a message of type ${type} stands among the data of a COPY`);
}

function impossible(length: number): Error {
  return new Error(`a message of a COPY has the impossible length ${length}`);
}
