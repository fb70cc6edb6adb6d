import type { FileBytes } from '../parquet-writer/chunk.js';

/** Sends bytes of one file away; their memory goes with them. */
export type Send = (file: number, bytes: Uint8Array) => void;

const PIECE = 1 << 20;
/** Of a file that is kept, which may stay small, the first piece; the others are as large as all before them. */
const FIRST_PIECE = 4 << 10;

/** The bytes of one file on their way out of the thread, in pieces: each sent when it is full, or kept until `release`. */
export class Outbox implements FileBytes {
  size = 0;
  /** Bytes of memory that are not sent. */
  held = 0;
  #kept: Uint8Array<ArrayBuffer>[] | undefined;
  #piece: Uint8Array<ArrayBuffer> | undefined;
  #at = 0;

  constructor(
    readonly file: number,
    private readonly send: Send,
    kept: boolean,
  ) {
    if (kept) this.#kept = [];
  }

  write(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      const piece = (this.#piece ??= this.#newPiece());
      const taken = Math.min(bytes.length - from, piece.length - this.#at);
      piece.set(bytes.subarray(from, from + taken), this.#at);
      this.#at += taken;
      this.size += taken;
      from += taken;
      if (this.#at === piece.length) this.#endPiece();
    }
  }

  /** What was kept is sent, and what follows as it comes. */
  release(): void {
    for (const piece of this.#kept ?? []) this.#send(piece);
    this.#kept = undefined;
  }

  /** All of it is sent. */
  flush(): void {
    this.release();
    if (this.#at > 0) this.#endPiece();
  }

  #newPiece(): Uint8Array<ArrayBuffer> {
    const piece = new Uint8Array(this.#kept ? Math.min(PIECE, Math.max(FIRST_PIECE, this.size)) : PIECE);
    this.held += piece.length;
    return piece;
  }

  #endPiece(): void {
    const piece = this.#piece!;
    if (this.#kept) this.#kept.push(piece);
    else {
      this.held -= piece.length - this.#at;
      // The whole memory goes along: of a piece that is not full, only what is used.
      this.#send(this.#at === piece.length ? piece : piece.slice(0, this.#at));
    }
    this.#piece = undefined;
    this.#at = 0;
  }

  #send(piece: Uint8Array<ArrayBuffer>): void {
    this.held -= piece.length;
    this.send(this.file, piece);
  }
}
