import { reach } from '../../../core/fail-points.js';
import type { ByteStream } from '../../types.js';
import type { CopyIn } from './copy-in.js';
import { CopyOut } from './copy-out.js';
import { ProtocolError } from './frames.js';

/** Both servers' own counts, from their command tags. Whether they must be equal is the caller's rule. */
export interface CopyCounts {
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/**
 * Feeds a stream of CopyData frames into a destination. CopyDone is sent only after the stream has ended without an error and
 * the source has given its own count, which a Postgres source does after CommandComplete and ReadyForQuery. Whatever else
 * happens, nothing stays at the destination, both sides are over when this rejects, and it rejects with the first cause.
 */
export async function pipeFrames(source: ByteStream, destination: CopyIn): Promise<CopyCounts> {
  const feed = openFeed(source, destination);
  const refused = destination.rows.then((): never => {
    throw new ProtocolError('the destination ended before its source');
  });
  refused.catch(() => undefined); // nobody listens before the race
  try {
    await destination.ready;
    await reach('copy: before first row');
    const rowsRead = await Promise.race([feed.run(), refused]);
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

interface Feed {
  /** Resolves with the source's own count. */
  run(): Promise<number>;
  /** Also before `run` and while it waits for the source. */
  stop(cause: unknown): void;
}

function openFeed(source: ByteStream, destination: CopyIn): Feed {
  if (source instanceof CopyOut) {
    return { run: () => source.pumpTo(destination), stop: (cause) => source.abandon(cause) };
  }
  const chunks = source[Symbol.asyncIterator]();
  return { run: () => iterate(source, chunks, destination), stop: () => void chunks.return?.().catch(() => undefined) };
}

async function iterate(source: ByteStream, chunks: AsyncIterator<Uint8Array>, destination: CopyIn): Promise<number> {
  for await (const chunk of { [Symbol.asyncIterator]: () => chunks }) {
    if (!destination.write(chunk)) await destination.drained();
  }
  return source.rows;
}
