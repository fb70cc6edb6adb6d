import { inspect } from 'node:util';
import type { MalformedRow, Row, RowBatch, Value } from '../types.js';
import { measure } from './values.js';

/** A batch is handed on with so many rows, … */
const ROWS = 500;
/** … or so many bytes of them, … */
const BYTES = 256 * 1024;
/** … or when its first row is so old, in ms: a slow source is seen to move. */
const AGE = 200;

/** What a module gives, single rows and lists of them, as batches. `columns` are what every row must have. */
export async function* batchesOf(items: AsyncIterable<unknown>, columns: readonly string[]): AsyncGenerator<RowBatch> {
  let line = 0;
  let batch = new Batch(columns);
  for await (const item of items) {
    const list = Array.isArray(item);
    for (const row of list ? (item as unknown[]) : [item]) {
      batch.add(row, ++line);
      if (!batch.full) continue;
      yield batch;
      batch = new Batch(columns);
    }
    if (batch.isEmpty || !(list || batch.old)) continue;
    yield batch;
    batch = new Batch(columns);
  }
  if (!batch.isEmpty) yield batch;
}

class Batch implements RowBatch {
  readonly rows: Row[] = [];
  readonly malformed: MalformedRow[] = [];
  /** Of each of `rows`. */
  readonly #lines: number[] = [];
  #bytes = 0;
  #since = 0;

  constructor(private readonly columns: readonly string[]) {}

  add(given: unknown, line: number): void {
    if (this.isEmpty) this.#since = performance.now();
    const row = this.#rowOf(given);
    if (typeof row === 'string') {
      this.malformed.push({ raw: rawOf(given), place: { line }, error: row });
      return;
    }
    this.rows.push(row);
    this.#lines.push(line);
  }

  /** Or what is wrong with it. */
  #rowOf(given: unknown): Row | string {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return notAnObject(given);
    const values: Value[] = [];
    for (const name of this.columns) {
      const value = (given as Record<string, unknown>)[name];
      const size = value === undefined ? `nothing: NULL is written null` : measure(value);
      if (typeof size === 'string') return `column ${JSON.stringify(name)} holds ${size}`;
      values.push(value as Value);
      this.#bytes += size;
    }
    return values;
  }

  place(index: number): { readonly line: number } {
    return { line: this.#lines[index]! };
  }

  get isEmpty(): boolean {
    return this.rows.length === 0 && this.malformed.length === 0;
  }

  get full(): boolean {
    return this.rows.length + this.malformed.length >= ROWS || this.#bytes >= BYTES;
  }

  get old(): boolean {
    return performance.now() - this.#since >= AGE;
  }
}

function notAnObject(given: unknown): string {
  const kind = Array.isArray(given) ? 'a list' : given === null ? 'null' : `of type ${typeof given}`;
  return `it is ${kind}, not an object with a value for each column`;
}

/** For people: as JSON where it can be that. */
function rawOf(given: unknown): string {
  if (typeof given !== 'object') return inspect(given);
  try {
    return JSON.stringify(given, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
  } catch {
    return inspect(given);
  }
}
