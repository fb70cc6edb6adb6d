import type { Input, ReadOptions } from '../../src/connectors/rows/index.js';
import type { MalformedRow, Place, Row, RowStream } from '../../src/connectors/types.js';
import type { ColumnShape } from '../../src/core/model.js';

/** Columns by name and type. */
export function readOptions(columns: Readonly<Record<string, string>>, signal = new AbortController().signal) {
  const shapes = Object.entries(columns).map(([name, type]): ColumnShape => ({
    name,
    type,
    definition: type,
    notNull: false,
    generated: false,
  }));
  return { columns: shapes, signal, subject: 'query q017 of connection "legacy"' } satisfies ReadOptions;
}

/** Cuts bytes at the given places, in any order and number; empty pieces included. */
export function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

/** A text or bytes as an input, in chunks cut at the given places. */
export function input(content: string | Uint8Array, options: { name?: string; cuts?: readonly number[] } = {}): Input {
  const bytes = Buffer.from(content);
  const name = options.name === undefined ? {} : { name: options.name };
  return { ...name, chunks: iterate(split(bytes, options.cuts ?? [])) };
}

export async function* iterate<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item);
}

export interface Collected {
  readonly rows: readonly Row[];
  readonly places: readonly (Place | undefined)[];
  readonly raws: readonly (string | undefined)[];
  readonly malformed: readonly MalformedRow[];
  readonly count: number;
  readonly batches: number;
}

export async function collect(stream: RowStream): Promise<Collected> {
  const seen = {
    rows: [] as Row[],
    places: [] as (Place | undefined)[],
    raws: [] as (string | undefined)[],
    malformed: [] as MalformedRow[],
    batches: 0,
  };
  for await (const batch of stream) {
    seen.batches++;
    for (const [index, row] of batch.rows.entries()) {
      seen.rows.push(row);
      seen.places.push(batch.place?.(index));
      seen.raws.push(batch.raw?.(index));
    }
    seen.malformed.push(...(batch.malformed ?? []));
  }
  return { ...seen, count: await stream.rows };
}
