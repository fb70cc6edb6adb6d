import { isPushed, type ChunkSink, type Meter, type PushedStream, type SourceStream } from '../../types.js';
import { Interruptible } from '../../wait.js';
import { LonghaulError } from '../../../core/errors.js';
import type { ObjectWriter } from '../../objects/store.js';
import type { DataFile, LakeColumn, OutOfRange } from '../model.js';
import type { Compression } from '../parquet-writer/compress.js';
import { ColumnThread } from './column-thread.js';
import { decodeOf } from './row-group.js';
import { framesOf } from './frames-of.js';

export interface WriteOptions {
  readonly columns: readonly LakeColumn[];
  readonly partitionBy: readonly string[];
  readonly compression: Compression;
  /** In bytes: a file ends with the row group that reaches it. */
  readonly targetFileSize: number;
  readonly outOfRange: OutOfRange;
  /** A path for one more file, that nobody else writes to. */
  nextPath(): string;
  create(path: string): Promise<ObjectWriter>;
  readonly signal: AbortSignal;
  /** The table's name and the connection's, for errors: `table bronze.orders of connection "lake"`. */
  readonly table: string;
}

export interface WrittenFiles {
  readonly rows: number;
  /** None where there are no rows. */
  readonly files: DataFile[];
}

/** Whether each of these columns can be decoded from COPY's binary format. If not, all come as text. */
export function canDecodeBinary(columns: readonly LakeColumn[]): boolean {
  return columns.every((column) => decodeOf(column, 0, 'binary', 'error') !== undefined);
}

/**
 * Writes a stream into Parquet files, all of which are complete when it resolves. When it rejects, nothing is left of the file under way;
 * files before it may be there, and nobody has been told of them. Memory is bounded by the row group, whatever the stream's length.
 * Throws DataRejected with the number of the row and the column; what the stream and the store throw.
 */
export async function writeDataFiles(stream: SourceStream, options: WriteOptions, meter: Meter): Promise<WrittenFiles> {
  options.signal.throwIfAborted();
  stream.rows.catch(() => undefined); // whoever iterates is told of it too
  await using thread = new ColumnThread(setupOf(stream, options), options, meter);
  if (stream.kind === 'bytes' && isPushed(stream)) await pump(stream, thread, meter);
  else await feedAll(thread, framesOf(stream, options, meter), options.signal);
  return await thread.finish();
}

/** Ends as soon as the thread does, however silent the source is. */
async function pump(stream: PushedStream, thread: ColumnThread, meter: Meter): Promise<void> {
  const sink: ChunkSink = {
    write: (chunk) => {
      meter.bytes += chunk.length;
      return thread.write(chunk);
    },
    drained: () => thread.drained(),
  };
  try {
    await Promise.race([stream.pumpTo(sink), thread.broken]);
  } catch (error) {
    stream.abandon(error);
    throw error;
  }
}

/** A source that has fallen silent is not waited for when the attempt is ended. */
async function feedAll(thread: ColumnThread, frames: AsyncGenerator<Uint8Array>, signal: AbortSignal): Promise<void> {
  using interruptible = new Interruptible(signal);
  try {
    for (;;) {
      const next = await interruptible.wait(() => frames.next());
      if (next.done) return;
      if (!thread.write(next.value)) await thread.drained();
    }
  } catch (error) {
    if (!signal.aborted) await frames.return(undefined);
    throw error;
  }
}

function setupOf(stream: SourceStream, options: WriteOptions) {
  const { columns, partitionBy, compression, targetFileSize, outOfRange } = options;
  const names = stream.columns ?? columns.map(({ name }) => name);
  const fields = columns.map(({ name }) => names.indexOf(name));
  if (fields.includes(-1) || names.length !== columns.length) {
    throw new LonghaulError('SourceChanged', `The columns of the stream are not those of ${options.table}.`, {
      next: 'Start the job again, so that the columns are compared anew.',
    });
  }
  const form = stream.format === 'postgres.copy.binary' ? ('binary' as const) : ('text' as const);
  return { columns, fields, form, partitionBy, compression, targetFileSize, outOfRange };
}
