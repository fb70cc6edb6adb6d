import type { RowBatch, RowStream } from '../types.js';
import { withCount } from './count.js';

/** Batches as a stream that counts its rows. */
export function rowStream(columns: readonly string[], batches: AsyncIterable<RowBatch>): RowStream {
  let rows = 0;
  async function* counting(): AsyncGenerator<RowBatch> {
    for await (const batch of batches) {
      rows += batch.rows.length + (batch.malformed?.length ?? 0);
      yield batch;
    }
  }
  const { items, count } = withCount(counting(), () => rows);
  return {
    kind: 'rows',
    format: 'rows',
    columns,
    rows: count,
    [Symbol.asyncIterator]: () => items[Symbol.asyncIterator](),
  };
}
