import { reach } from '../../../core/fail-points.js';
import { isPushed, type ByteStream, type ChunkSink } from '../../types.js';
import type { CopyIn } from './copy-in.js';
import { ProtocolError } from './frames.js';

/** Both servers' own counts, from their command tags. Whether they must be equal is the caller's rule. */
export interface CopyCounts {
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/** What gives a COPY its frames. */
export interface Feed {
  /** Resolves with the source's own count. */
  run(sink: ChunkSink): Promise<number>;
  /** Also before `run` and while it waits for the source. */
  stop(cause: unknown): void;
}

/** Feeds a stream of CopyData frames into a destination, as `pipe` does. */
export function pipeFrames(source: ByteStream, destination: CopyIn): Promise<CopyCounts> {
  return pipe(framesOf(source), destination);
}

/**
 * Feeds a destination. CopyDone is sent only after the feed has ended without an error and the source has given its own count, which
 * a Postgres source does after CommandComplete and ReadyForQuery. Whatever else happens, nothing stays at the destination, both
 * sides are over when this rejects, and it rejects with the first cause.
 */
export async function pipe(feed: Feed, destination: CopyIn): Promise<CopyCounts> {
  const refused = destination.rows.then((): never => {
    throw new ProtocolError('the destination ended before its source');
  });
  refused.catch(() => undefined); // nobody listens before the race
  try {
    await destination.ready;
    await reach('copy: before first row');
    const rowsRead = await Promise.race([feed.run(destination), refused]);
    await reach('copy: after last row');
    const written = destination.finish();
    await reach('copy: before tag');
    return { rowsRead, rowsWritten: await written };
  } catch (cause) {
    feed.stop(cause);
    await destination.fail(cause instanceof Error ? cause.message : String(cause));
    throw cause;
  }
}

function framesOf(source: ByteStream): Feed {
  if (isPushed(source)) {
    return { run: (sink) => source.pumpTo(sink), stop: (cause) => source.abandon(cause) };
  }
  return feedOf(source, (chunk, sink) => send(sink, chunk));
}

/** Feeds what `put` makes of each piece of a stream; `end`: what is left after the last. One piece at a time is in memory. */
export function feedOf<T>(
  source: AsyncIterable<T> & { readonly rows: Promise<number> },
  put: (piece: T, sink: ChunkSink) => Promise<void>,
  end: (sink: ChunkSink) => Promise<void> = () => Promise.resolve(),
): Feed {
  const pieces = source[Symbol.asyncIterator]();
  return {
    run: async (sink) => {
      for await (const piece of { [Symbol.asyncIterator]: () => pieces }) await put(piece, sink);
      await end(sink);
      return source.rows;
    },
    stop: () => void pieces.return?.().catch(() => undefined),
  };
}

/** Resolves when the chunk's memory is not needed any more. Rejects when nothing more will be taken. */
export async function send(sink: ChunkSink, chunk: Uint8Array): Promise<void> {
  if (!sink.write(chunk)) await sink.drained();
}
