import { inputName, streamError, type Input, type ReadOptions } from './input.js';
import type { RecordScanner } from './record-scanner.js';

const NUL = 0x00;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const END_MARK = '\\.';
/** With what has to be behind it: some kind of line break. */
const END_MARK_BYTES = END_MARK.length + 1;

/** What is ready to be sent of what came. */
export interface Framed {
  /** Lines of whole records end in LF. */
  readonly chunk: Buffer;
  /** Of each record that ends in it, the line in which it began. */
  readonly lines: readonly number[];
  /** Where the first of them ends in `chunk`. */
  readonly firstEnd: number | undefined;
}

/** Looks at the chunks of one input on their way to Postgres. Throws SourceRefused for what Postgres would misread. */
export class CsvFraming {
  readonly #scanner: RecordScanner;
  readonly #input: Pick<Input, 'name'>;
  readonly #options: ReadOptions;
  /** A carriage return at the end of the last chunk, which the next may make a line break of. */
  #heldBack: Buffer = Buffer.alloc(0);
  /** The beginning of the record that has not ended: the bytes that could be the end mark. */
  #open: Buffer = Buffer.alloc(0);

  constructor(scanner: RecordScanner, input: Pick<Input, 'name'>, options: ReadOptions) {
    this.#scanner = scanner;
    this.#input = input;
    this.#options = options;
  }

  /** The input, if it ends here, does so within a record. */
  get inRecord(): boolean {
    return this.#scanner.openBytes > 0 || this.#heldBack.length > 0;
  }

  pass(bytes: Buffer): Framed {
    const whole = this.#heldBack.length === 0 ? bytes : Buffer.concat([this.#heldBack, bytes]);
    const end = whole.at(-1) === CARRIAGE_RETURN ? whole.length - 1 : whole.length;
    const chunk = whole.subarray(0, end);
    this.#heldBack = whole.subarray(end);
    this.#refuseNul(chunk);
    const { ends, lines } = this.#scanner.scan(chunk);
    this.#refuseEndMark(chunk, ends, lines);
    if (!chunk.includes(CARRIAGE_RETURN)) return { chunk, lines, firstEnd: ends[0] };
    const firstEnd = ends[0] && ends[0] - (chunk[ends[0] - 2] === CARRIAGE_RETURN ? 1 : 0);
    return { chunk: withLineFeeds(chunk, ends), lines, firstEnd };
  }

  #refuseNul(chunk: Buffer): void {
    const at = chunk.indexOf(NUL);
    if (at < 0) return;
    const breaks = chunk.subarray(0, at).filter((byte) => byte === LINE_FEED).length;
    throw streamError(
      'SourceRefused',
      this.#options,
      `there is a NUL character in line ${this.#scanner.line + breaks} of ${inputName(this.#input)}`,
      'Leave it out or replace it: Postgres has no text with one.',
    );
  }

  /** Before version 18, Postgres takes `\.` in a line of its own for the end of the data, and says nothing of the rows behind it. */
  #refuseEndMark(chunk: Buffer, ends: readonly number[], lines: readonly number[]): void {
    const { recordLine } = this.#scanner;
    const begun = Buffer.concat([this.#open, chunk.subarray(0, END_MARK_BYTES)]);
    if (isEndMark(begun, 0)) throw this.#endMark(lines[0] ?? recordLine);
    if (chunk.includes(BACKSLASH)) {
      const before = ends.findIndex((start) => isEndMark(chunk, start));
      if (before >= 0) throw this.#endMark(lines[before + 1] ?? recordLine);
    }
    const start = ends.at(-1);
    this.#open = Buffer.from((start === undefined ? begun : chunk.subarray(start)).subarray(0, END_MARK_BYTES));
  }

  #endMark(line: number): Error {
    return streamError(
      'SourceRefused',
      this.#options,
      `line ${line} of ${inputName(this.#input)} is ${END_MARK} alone, which some servers take for the end of the data`,
      `Print it in quotes ("${END_MARK}") if it is a value; leave it out if it is to mean the end.`,
    );
  }
}

function isEndMark(bytes: Buffer, start: number): boolean {
  if (bytes[start] !== BACKSLASH || bytes[start + 1] !== DOT) return false;
  const next = bytes[start + 2];
  return next === LINE_FEED || next === CARRIAGE_RETURN;
}

/** A copy in which records end in LF. What is within quotes stays as it is. */
function withLineFeeds(chunk: Buffer, ends: readonly number[]): Buffer {
  const copy = Buffer.from(chunk);
  let to = 0;
  let from = 0;
  for (const end of ends) {
    if (copy[end - 2] !== CARRIAGE_RETURN) continue;
    copy.copyWithin(to, from, end - 2);
    to += end - 2 - from;
    from = end - 1;
  }
  copy.copyWithin(to, from);
  return copy.subarray(0, to + copy.length - from);
}
