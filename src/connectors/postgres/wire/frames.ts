/**
 * CopyData messages ("frames"): 'd', int32 length (itself included, the type byte not), payload. A copy is a run of them, and
 * only their five-byte headers are looked at: payloads pass through untouched, in whatever pieces the socket made of them.
 */

/** The type byte of a frame, and the bytes of its header. */
export const COPY_DATA = 0x64;
export const FRAME_HEADER = 5;

/** Bytes that may have to be invented to end a frame that was cut (see `padding`); beyond it the session is given up. */
const MAX_PADDING = 1 << 20;

export class ProtocolError extends Error {
  /** SQLSTATE protocol_violation, so that it is sorted like a server's own error. */
  readonly code = '08P01';
  override readonly name = 'ProtocolError';
}

/**
 * Walks a stream of protocol messages over chunks that split it anywhere, keeping nothing but where it is: at most four
 * header bytes' worth of numbers, never a chunk.
 */
export class FrameWalker {
  /** CopyData messages begun so far. Text: one a row. Binary: as many and a trailer, so a hint. */
  frames = 0;
  /** Length bytes of the current header that are still to come, 0 to 4. */
  #lengthLeft = 0;
  /** The part of the current length that was seen. */
  #length = 0;
  /** Payload bytes of the current message that are still to come. */
  #bodyLeft = 0;

  /** True between two messages. */
  get atBoundary(): boolean {
    return this.#lengthLeft === 0 && this.#bodyLeft === 0;
  }

  /** The end of the run of CopyData that begins at `from` or went on there: the chunk's end, or the first foreign message. */
  walkCopyData(chunk: Uint8Array, from: number): number {
    let at = this.#walkRest(chunk, from);
    const lastHeader = chunk.length - FRAME_HEADER;
    while (at <= lastHeader && chunk[at] === COPY_DATA) {
      at += FRAME_HEADER + bodyLength(readLength(chunk, at + 1));
      this.frames++;
    }
    this.#bodyLeft += Math.max(at - chunk.length, 0);
    if (at >= chunk.length || chunk[at] !== COPY_DATA) return Math.min(at, chunk.length);
    this.frames++;
    return this.#walkRest(chunk, this.#begin(at));
  }

  /** The end of the one message, of any type, that begins at `from` or went on there: at most the chunk's end. */
  walkMessage(chunk: Uint8Array, from: number): number {
    return this.#walkRest(chunk, this.atBoundary ? this.#begin(from) : from);
  }

  /**
   * Bytes that end the current message, so that the next one can be sent after a copy was broken off in mid-frame. The server
   * takes them for data, hence only before CopyFail or after its ErrorResponse. Undefined when it would be too many.
   */
  padding(): Uint8Array | undefined {
    const unseen = this.#lengthLeft;
    const least = this.#length * 256 ** unseen;
    const length = unseen === 0 ? 0 : Math.max(least, 4);
    const body = unseen === 0 ? this.#bodyLeft : length - 4;
    if (body > MAX_PADDING) return undefined;
    const bytes = Buffer.alloc(unseen + body);
    if (unseen > 0) bytes.writeUIntBE(length - least, 0, unseen);
    return bytes;
  }

  /** The end of the current message, at most the chunk's end; `from` itself between messages. */
  #walkRest(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#lengthLeft > 0) {
      if (at === chunk.length) return at;
      this.#length = this.#length * 256 + chunk[at++]!;
      if (--this.#lengthLeft === 0) this.#bodyLeft = bodyLength(this.#length);
    }
    const taken = Math.min(this.#bodyLeft, chunk.length - at);
    this.#bodyLeft -= taken;
    return at + taken;
  }

  #begin(from: number): number {
    this.#length = 0;
    this.#lengthLeft = 4;
    return from + 1;
  }
}

/** Wraps raw COPY bytes (any piece of the file format; row boundaries don't matter) into one CopyData frame. */
export function frameCopyData(payload: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(FRAME_HEADER + payload.length);
  frame[0] = COPY_DATA;
  frame.writeInt32BE(4 + payload.length, 1);
  frame.set(payload, FRAME_HEADER);
  return frame;
}

function readLength(chunk: Uint8Array, at: number): number {
  return (chunk[at]! << 24) | (chunk[at + 1]! << 16) | (chunk[at + 2]! << 8) | chunk[at + 3]!;
}

/** An int32: a length with its high bit set is as wrong as one that doesn't cover itself. */
function bodyLength(length: number): number {
  if (length < 4 || length > 0x7fffffff) throw new ProtocolError(`a message of impossible length ${length}`);
  return length - 4;
}
