import type { Socket } from 'node:net';
import { bounded, counted } from '../../core/text.js';
import type { Log } from '../types.js';

/** Characters of a line that are looked at; the rest of it is dropped. */
const LONGEST_READ = 16_384;
/** Bytes of a line in the log, and in an error. */
const LONGEST_LOGGED = 1_000;
const LONGEST_KEPT = 400;
/** Lines of standard error that an error shows, and their bytes together. */
const LAST_LINES = 20;
const LAST_BYTES = 2_048;
/** So many lines at once, then so many a second. */
const BURST = 200;
const PER_SECOND = 20;

export interface ChatterOptions {
  readonly log: Log;
  /** Of every line, e.g. connection and query. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly redact: (text: string) => string;
}

/** What a program prints beside its rows: lines of the log, as many as a person can read, and its last words for an error. */
export class Chatter {
  readonly #last: string[] = [];
  readonly #open: Promise<void>[] = [];
  #allowance = BURST;
  #filledAt = Date.now();
  #dropped = 0;

  constructor(private readonly options: ChatterOptions) {}

  listen(stream: 'stdout' | 'stderr', reader: Socket): void {
    const lines = new Lines((line) => this.#heard(stream, line));
    reader.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    this.#open.push(
      new Promise((resolve) => {
        reader.once('close', () => {
          lines.end();
          resolve();
        });
      }),
    );
  }

  /** Resolves when all streams are closed and their lines are logged. */
  async ended(): Promise<void> {
    await Promise.all(this.#open);
    this.#tellDropped();
  }

  /** Of standard error. */
  lastWords(): string[] {
    const { redact } = this.options;
    const kept: string[] = [];
    let room = LAST_BYTES;
    for (const line of this.#last.toReversed().map((each) => bounded(redact(plain(each)), LONGEST_KEPT))) {
      room -= Buffer.byteLength(line) + 1;
      if (room < 0) break;
      kept.unshift(line);
    }
    return kept;
  }

  #heard(stream: 'stdout' | 'stderr', line: string): void {
    if (stream === 'stderr' && this.#last.push(line) > LAST_LINES) this.#last.shift();
    if (!this.#allowed()) {
      this.#dropped++;
      return;
    }
    this.#tellDropped();
    const { log, fields, redact } = this.options;
    log.info({ ...fields, stream }, bounded(redact(plain(line)), LONGEST_LOGGED));
  }

  #allowed(): boolean {
    const now = Date.now();
    this.#allowance = Math.min(BURST, this.#allowance + ((now - this.#filledAt) / 1000) * PER_SECOND);
    this.#filledAt = now;
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    this.options.log.info({ ...this.options.fields }, `${counted(this.#dropped, 'line')} of the program left out here`);
    this.#dropped = 0;
  }
}

/** Text in pieces to lines; empty ones are left out, and each step of a progress bar is one. */
class Lines {
  #rest = '';
  /** Of a line that is too long. */
  #skipping = false;

  constructor(private readonly heard: (line: string) => void) {}

  push(text: string): void {
    const [first, ...more] = text.split(/[\r\n]+/);
    this.#append(first!);
    for (const part of more) {
      this.end();
      this.#append(part);
    }
  }

  end(): void {
    const line = this.#rest;
    this.#rest = '';
    this.#skipping = false;
    if (line !== '') this.heard(line);
  }

  #append(part: string): void {
    if (this.#skipping) return;
    this.#rest += part;
    if (this.#rest.length <= LONGEST_READ) return;
    this.#rest = this.#rest.slice(0, LONGEST_READ);
    this.#skipping = true;
  }
}

/** Without colors and whatever else a terminal would act on. */
function plain(line: string): string {
  return line.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '').trimEnd();
}
