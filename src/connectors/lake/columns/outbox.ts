import type { FileBytes } from '../parquet-writer/chunk.js';

/** Sends bytes of one file away; their memory goes with them. */
export type Send = (file: number, bytes: Uint8Array) => void;

const PIECE = 1 << 20;

/** The bytes of one file on their way out of the thread, in pieces. */
export class Outbox implements FileBytes {
  size = 0;
  #piece: Uint8Array<ArrayBuffer> | undefined;
  #at = 0;

  constructor(
    readonly file: number,
    private readonly send: Send,
  ) {}

  write(bytes: Uint8Array): void {
    this.size += bytes.length;
    for (let from = 0; from < bytes.length;) {
      const taken = Math.min(bytes.length - from, PIECE - this.#at);
      this.#piece ??= new Uint8Array(PIECE);
      this.#piece.set(bytes.subarray(from, from + taken), this.#at);
      this.#at += taken;
      from += taken;
      if (this.#at === PIECE) this.#sendPiece();
    }
  }

  flush(): void {
    if (this.#at > 0) this.#sendPiece();
  }

  #sendPiece(): void {
    // The whole memory goes along: of a piece that is not full, only what is used.
    this.send(this.file, this.#at === PIECE ? this.#piece! : this.#piece!.slice(0, this.#at));
    this.#piece = undefined;
    this.#at = 0;
  }
}
