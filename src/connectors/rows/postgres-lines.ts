import type { Place } from '../types.js';
import type { Framed } from './csv-framing.js';

const CARRIAGE_RETURN = 0x0d;

/** From a line of the stream on, until the next mark: where it stands. */
interface Mark {
  readonly line: number;
  readonly file?: string;
  readonly fileLine: number;
}

/**
 * Where the lines of a stream stand, as Postgres counts them in its errors: with the line feeds within records, so that a record of many
 * lines is told by its last. Before the end of the first record it doesn't know what lines end in, and counts the carriage returns
 * within it instead: so the second record has a mark of its own.
 */
export class PostgresLines {
  readonly #marks: Mark[] = [];
  /** The next one. */
  #line = 1;
  /** Where the second record begins. */
  #second = 1;
  #inFirst = true;

  /** An input begins, with this line of its own. */
  begin(file: string | undefined, fileLine: number): void {
    this.#marks.push({ ...(file === undefined ? {} : { file }), line: this.#line, fileLine });
  }

  /** A chunk is sent. `fileLine`: of the record that has not ended. */
  sent({ chunk, firstEnd, lines }: Framed, fileLine: number): void {
    if (!this.#inFirst) return;
    const within = chunk.subarray(0, firstEnd ?? chunk.length);
    this.#line += within.filter((byte) => byte === CARRIAGE_RETURN).length;
    if (firstEnd === undefined) return;
    this.#inFirst = false;
    this.#second = ++this.#line;
    this.begin(this.#marks.at(-1)?.file, lines[1] ?? fileLine);
  }

  /** The input has ended before this line of its own. */
  end(fileLine: number): void {
    const last = this.#marks.at(-1)!;
    if (!this.#inFirst) this.#line = last.line + fileLine - last.fileLine;
  }

  place(line: number): Place {
    const mark = this.#marks.findLast((candidate) => candidate.line <= line);
    if (mark === undefined) return { line };
    const offset = line < this.#second ? 0 : line - mark.line;
    return { ...(mark.file === undefined ? {} : { file: mark.file }), line: mark.fileLine + offset };
  }
}
