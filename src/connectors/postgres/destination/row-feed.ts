import type { ChunkSink, Meter, RowBatch, RowStream } from '../../types.js';
import type { RowEncoder } from '../rows/encoder.js';
import { Refusal } from '../rows/refusal.js';
import { rowMalformed, rowRefused } from '../rows/row-error.js';
import type { PlaceTrail } from '../rows/trail.js';
import { feedOf, send, type Feed } from '../wire/index.js';

/** Bytes of a frame: a row less or more. One for each row costs the server twice the time. */
const FRAME_BYTES = 64 * 1024;

interface RowFeeding {
  readonly encoder: RowEncoder;
  readonly trail: PlaceTrail;
  readonly meter: Meter;
  /** The destination's name, for errors. */
  readonly connection: string;
}

/** A stream of rows as CopyData frames, of which one is in memory. Throws DataRejected for the first row that can't be written. */
export function rowFeed(stream: RowStream, feeding: RowFeeding): Feed {
  const { encoder, meter } = feeding;
  let rows = 0;
  const put = async (batch: RowBatch, sink: ChunkSink) => {
    const malformed = batch.malformed?.[0];
    if (malformed) throw rowMalformed(feeding.connection, malformed);
    let bytes = 0;
    for (let index = 0; index < batch.rows.length; index++) {
      const before = encoder.text.length;
      addRow(feeding, batch, index, (rows += 1));
      bytes += encoder.text.length - before;
      if (encoder.text.length >= FRAME_BYTES) await flush(encoder, sink);
    }
    meter.rows = rows;
    meter.bytes += batch.bytes ?? bytes;
  };
  return feedOf(stream, put, (sink) => flush(encoder, sink));
}

function addRow({ encoder, trail, connection }: RowFeeding, batch: RowBatch, index: number, position: number): void {
  const place = batch.place?.(index);
  if (place) trail.add(position, place);
  try {
    encoder.add(batch.rows[index]!);
  } catch (cause) {
    throw cause instanceof Refusal ? rowRefused(connection, cause, { place, position }) : cause;
  }
}

async function flush({ text }: RowEncoder, sink: ChunkSink): Promise<void> {
  if (text.length === 0) return;
  await send(sink, text.frame());
  text.truncate(0);
}
