import { expectedRows, rowsSeen, type JobView, type TableView } from './view.js';

interface Sample {
  readonly at: number;
  readonly rows: number;
}

/** Milliseconds over which a rate is taken: long enough to be calm, short enough to show a stall. */
const WINDOW = 15_000;

/**
 * Rows a second of each table over the last seconds. Rows of an attempt that failed disappear from the count, so the
 * highest count so far is what is measured: a rate is never negative.
 */
export class Pace {
  readonly #samples = new Map<string, Sample[]>();

  record(view: JobView): void {
    for (const table of view.tables) {
      const samples = this.#samples.get(table.table) ?? [];
      const rows = Math.max(rowsSeen(table), samples.at(-1)?.rows ?? 0);
      const kept = samples.filter(({ at }) => at >= view.at - WINDOW);
      this.#samples.set(table.table, [...kept, { at: view.at, rows }]);
    }
  }

  /** Rows a second; undefined until two looks at the table have been had. */
  rate(table: string): number | undefined {
    const samples = this.#samples.get(table) ?? [];
    const [first, last] = [samples[0], samples.at(-1)];
    if (first === undefined || last === undefined || last.at === first.at) return undefined;
    return ((last.rows - first.rows) / (last.at - first.at)) * 1000;
  }

  /** Milliseconds until the rows of `tables` are through at today's pace; undefined when that can't be said. */
  timeLeft(tables: readonly TableView[]): number | undefined {
    let rows = 0;
    let rate = 0;
    for (const table of tables) {
      const expected = expectedRows(table);
      if (expected === undefined) return undefined;
      rows += expected - rowsSeen(table);
      rate += this.rate(table.table) ?? 0;
    }
    if (rows <= 0) return 0;
    return rate > 0 ? (rows / rate) * 1000 : undefined;
  }
}
