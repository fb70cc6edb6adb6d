import { COPY_DATA, FRAME_HEADER } from '../wire/frames.js';
import { Refusal } from './refusal.js';

const FIRST_BYTES = 96 * 1024;
/** Up to this length, writing byte by byte is faster than a call into the runtime. */
const SHORT = 40;

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** What can't be copied into the buffer as it is. */
const SPECIAL = /[\\\n\r\t\0\ud800-\udfff]/;

/** Rows in COPY's text format, in one growing buffer that begins with room for a frame's header. */
export class CopyText {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = FRAME_HEADER;

  /** Of the payload. */
  get length(): number {
    return this.#at - FRAME_HEADER;
  }

  /** Drops what came after the first `length` bytes. */
  truncate(length: number): void {
    this.#at = FRAME_HEADER + length;
  }

  null(): void {
    this.#reserve(2);
    this.#bytes[this.#at++] = BACKSLASH;
    this.#bytes[this.#at++] = 0x4e;
  }

  tab(): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = TAB;
  }

  endRow(): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = NEWLINE;
  }

  /** One value. Throws Refusal for what is no text in UTF-8, or none of Postgres'. */
  text(text: string): void {
    if (text.length <= SHORT && this.#plain(text)) return;
    const written = SPECIAL.test(text) ? escaped(text) : text;
    this.#reserve(written.length <= SHORT ? 3 * SHORT : Buffer.byteLength(written));
    this.#at += this.#bytes.write(written, this.#at, 'utf8');
  }

  /** All of it as one CopyData frame. Its memory is lent, until anything is written again. */
  frame(): Uint8Array {
    this.#bytes[0] = COPY_DATA;
    this.#bytes.writeInt32BE(this.#at - 1, 1);
    return this.#bytes.subarray(0, this.#at);
  }

  /** Bytes [from, to) of the payload. Their memory is lent. */
  slice(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(FRAME_HEADER + from, FRAME_HEADER + to);
  }

  /** Writes a short text of printable ASCII; false, and nothing written, for any other. */
  #plain(text: string): boolean {
    this.#reserve(text.length);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code < 0x20 || code > 0x7e || code === BACKSLASH) return false;
      bytes[at++] = code;
    }
    this.#at = at;
    return true;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + more));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

function escaped(text: string): string {
  if (text.includes('\0')) throw new Refusal('it has a NUL character, which Postgres takes in no text');
  if (/\p{Surrogate}/u.test(text)) throw new Refusal('it has half of a surrogate pair, which UTF-8 has no form for');
  return text.replace(/[\\\n\r\t]/g, (character) => ESCAPED[character]!);
}
