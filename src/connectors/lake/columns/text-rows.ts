import { RowFinder } from './row-finder.js';

const TAB = 0x09;
const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
const N = 0x4e;
const X = 0x78;

/** What stands for a byte behind a backslash, but for digits: b, f, n, r, t, v. */
const ESCAPES = new Map([
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
  [0x76, 0x0b],
]);

/** Rows in COPY's text format: a line each. Backslashes are taken out where they stand, so the buffer has to be the finder's. */
export class TextRows extends RowFinder {
  end(): void {
    this.flush();
    if (this.carry.length > 0) throw new Error('the text stream of a COPY broke off within a row');
  }

  protected find(bytes: Uint8Array, from: number, to: number): number {
    const { batch } = this;
    let at = from;
    while (batch.rows < batch.capacity && at < to) {
      const end = newlineIn(bytes, at, to);
      if (end < 0) return at;
      this.#row(bytes, at, end);
      batch.rows++;
      at = end + 1;
    }
    return at;
  }

  protected belonging(bytes: Uint8Array, from: number, to: number): number {
    const end = newlineIn(bytes, from, to);
    return end < 0 ? to - from : end + 1 - from;
  }

  #row(bytes: Uint8Array, from: number, to: number): void {
    const { starts, lengths, fields, rows, capacity } = this.batch;
    let field = rows;
    const last = rows + fields * capacity;
    let start = from;
    let escaped = false;
    for (let at = from; at <= to; at++) {
      const byte = at === to ? TAB : bytes[at]!;
      if (byte === BACKSLASH) {
        escaped = true;
        at++;
      } else if (byte === TAB) {
        if (field === last) throw wrongCount(fields);
        starts[field] = start;
        lengths[field] = escaped ? unescaped(bytes, start, at) : at - start;
        field += capacity;
        start = at + 1;
        escaped = false;
      }
    }
    if (field !== last) throw wrongCount(fields);
  }
}

/** A line break within a value is written as a backslash and an n. */
function newlineIn(bytes: Uint8Array, from: number, to: number): number {
  const at = bytes.indexOf(NEWLINE, from);
  return at < to ? at : -1;
}

/** Takes the backslashes out of [from, to); answers with the new length, -1 for NULL. */
function unescaped(bytes: Uint8Array, from: number, to: number): number {
  if (to - from === 2 && bytes[from] === BACKSLASH && bytes[from + 1] === N) return -1;
  let put = from;
  for (let at = from; at < to; at++) {
    if (bytes[at] !== BACKSLASH) {
      bytes[put++] = bytes[at]!;
      continue;
    }
    const code = bytes[++at]!;
    const digits = numeric(bytes, at, to);
    bytes[put++] = digits ? digits.value : (ESCAPES.get(code) ?? code);
    if (digits) at += digits.length - 1;
  }
  return put - from;
}

/** A byte by its number: up to three octal digits, or x and up to two hexadecimal ones. The server prints none, other programs may. */
function numeric(bytes: Uint8Array, at: number, to: number): { value: number; length: number } | undefined {
  const hexadecimal = bytes[at] === X;
  const shown = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(3, to - at)).toString('latin1');
  const found = hexadecimal ? /^x([\da-fA-F]{1,2})/.exec(shown) : /^([0-7]{1,3})/.exec(shown);
  if (!found) return undefined;
  return { value: parseInt(found[1]!, hexadecimal ? 16 : 8) & 0xff, length: found[0].length };
}

function wrongCount(fields: number): Error {
  return new Error(`a row of a COPY has not as many fields as there are columns, ${fields}`);
}
