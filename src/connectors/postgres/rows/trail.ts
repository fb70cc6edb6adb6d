import type { Place } from '../../types.js';

interface Run {
  /** Number of its first row in the stream, from 1 on. */
  readonly from: number;
  readonly file: string | undefined;
  /** Of its first row; those after it are on the lines that follow. */
  readonly line: number;
}

/** Rows that the server may still refuse lie in its and our buffers: far fewer than this many runs of them. */
const MOST_RUNS = 200_000;

/** Where the rows of a stream stood in what its source gave, kept in runs of consecutive lines; the oldest are forgotten. */
export class PlaceTrail {
  #runs: Run[] = [];

  /** Rows in order, counted from 1 on. */
  add(row: number, { file, line }: Place): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && last.file === file && last.line - last.from === line - row) return;
    if (this.#runs.length >= MOST_RUNS) this.#runs = this.#runs.slice(MOST_RUNS / 2);
    this.#runs.push({ from: row, file, line });
  }

  /** Undefined: nothing is known of it. */
  placeOf(row: number): Place | undefined {
    const run = this.#runs.findLast(({ from }) => from <= row);
    if (run === undefined) return undefined;
    return { ...(run.file !== undefined && { file: run.file }), line: run.line + row - run.from };
  }
}
