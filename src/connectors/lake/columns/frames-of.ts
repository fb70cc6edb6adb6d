import { LonghaulError } from '../../../core/errors.js';
import { RowEncoder } from '../../postgres/rows/encoder.js';
import { Refusal } from '../../postgres/rows/refusal.js';
import type { MalformedRow, Meter, Place, RowBatch, RowStream, SourceStream } from '../../types.js';
import { asPostgres } from '../types/source-type.js';
import type { WriteOptions } from './write-data-files.js';

type Told = Pick<WriteOptions, 'columns' | 'table'>;

/** Rows of a `rows` stream in one frame, more or less. */
const FRAME_BYTES = 64 * 1024;

/** A stream's data as chunks of CopyData frames; rows become COPY's text, in which every value is exact. Moves the meter's bytes. */
export async function* framesOf(stream: SourceStream, options: Told, meter: Meter): AsyncGenerator<Uint8Array> {
  if (stream.kind === 'rows') {
    yield* rowFrames(stream, options, meter);
    return;
  }
  if (stream.format === 'csv') throw new Error('CSV is no format of a lake');
  for await (const chunk of stream) {
    meter.bytes += chunk.length;
    yield chunk;
  }
}

async function* rowFrames(stream: RowStream, options: Told, meter: Meter): AsyncGenerator<Uint8Array> {
  const byName = new Map(options.columns.map((column) => [column.name, asPostgres(column.source)]));
  const encoder = new RowEncoder(stream.columns.map((name) => ({ ...byName.get(name)!, name })));
  let rows = 0;
  for await (const batch of stream) {
    const malformed = batch.malformed?.[0];
    if (malformed) throw rowMalformed(malformed, options);
    meter.bytes += batch.bytes ?? 0;
    for (let index = 0; index < batch.rows.length; index++) {
      addRow(encoder, batch, index, { position: ++rows, options });
      if (encoder.text.length < FRAME_BYTES) continue;
      yield encoder.text.frame();
      encoder.text.truncate(0);
    }
  }
  if (encoder.text.length > 0) yield encoder.text.frame();
}

function addRow(
  encoder: RowEncoder,
  batch: RowBatch,
  index: number,
  { position, options }: { position: number; options: Told },
): void {
  try {
    encoder.add(batch.rows[index]!);
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause;
    const place = batch.place?.(index);
    throw rejected(options, place ? placeText(place) : `row ${position}`, cause.column, cause.why);
  }
}

function rowMalformed({ place, error }: MalformedRow, options: Told): LonghaulError {
  return rejected(options, placeText(place), undefined, error);
}

function placeText({ file, line }: Place): string {
  return file === undefined ? `line ${line}` : `line ${line} of file ${file}`;
}

/** A row that can't be written: never with its value. */
export function rejected(
  { table }: Pick<Told, 'table'>,
  where: string,
  column: string | undefined,
  why: string,
): LonghaulError {
  const at = column === undefined ? where : `${where}, column ${column}`;
  return new LonghaulError('DataRejected', `A row can't be written to ${table} (${at}): ${why}.`, {
    next: 'Correct the data, or say in the job file what the column becomes (`types`), then retry the partition. Nothing of it was published.',
  });
}
