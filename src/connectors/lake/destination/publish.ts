import { reach } from '../../../core/fail-points.js';
import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import type { Meter, PublishedTable } from '../../types.js';
import type { Publishing } from '../format.js';
import type { LakeLedger } from '../ledger/index.js';
import type { DataFile } from '../model.js';
import { columnsOf } from './columns.js';
import type { LakeContext } from './context.js';
import { removeFiles } from './discard.js';
import { CountedFiles, smallFiles } from './small-files.js';

/** See `DestinationSession.publish`. */
export async function publishTable(context: LakeContext, record: TableRecord, meter: Meter): Promise<PublishedTable> {
  const { ledger } = context;
  await reach('publish: before fence');
  const counted = new CountedFiles();
  let publication = await ledger.beginPublish(record);
  const { totals } = publication;
  while (publication.epoch !== undefined) {
    const { epoch } = publication;
    await reach('publish: after fence COMMIT');
    const publishing = publishingOf(ledger, record, { ...publication, epoch }, totals.rows);
    if (await publishEpoch(context, publishing, counted, meter)) break;
    publication = await ledger.beginPublish(record, epoch);
  }
  if (totals.missing.length === 0) await tidy(context, record, meter);
  const warning = smallFiles(counted, record);
  return { ...totals, ...(warning !== undefined && { warning }) };
}

/** A table in its state of being published. */
export function publishingOf(
  ledger: LakeLedger,
  record: TableRecord,
  { epoch, since }: { readonly epoch: number; readonly since?: number | undefined },
  rows: number,
): Publishing {
  const files = { [Symbol.asyncIterator]: () => filesOf(ledger, record) };
  return { record, columns: columnsOf(record), epoch, ...(since !== undefined && { since }), rows, files };
}

/** False: the epoch was closed in the target's log, and the table is still being published. */
async function publishEpoch(
  context: LakeContext,
  publishing: Publishing,
  counted: CountedFiles,
  meter: Meter,
): Promise<boolean> {
  const { ledger, format } = context;
  const { record, epoch } = publishing;
  const phase = (name: string) => void (meter.phase = name);
  phase('publishing');
  const files = { [Symbol.asyncIterator]: () => counted.of(allOf(publishing, meter)) };
  try {
    await format.publish({ ...publishing, files, phase, stillPublishing: () => ledger.stillPublishing(record, epoch) });
  } catch (error) {
    if ((await stateAfter(context, record, error)) === 'publishing') return false;
  }
  await reach('publish: after swap');
  await ledger.published(record, epoch);
  await reach('publish: after COMMIT');
  return true;
}

/**
 * What an attempt meets may be that another one has published meanwhile and tidied up: then it is no error. Nor is it that its epoch was
 * closed by somebody who did not take the table out of `publishing` after it: whose `close` was refused, or who has died. One that comes
 * after the table was given up removes what it has made since.
 */
async function stateAfter(
  { ledger, format }: LakeContext,
  record: TableRecord,
  error: unknown,
): Promise<'published' | 'publishing'> {
  if (!(error instanceof LonghaulError)) throw error;
  const { state } = await ledger.table(record.run, record.spec.table);
  if (state === 'discarded') await format.cleanUp?.(record);
  if (state === 'published' || (state === 'publishing' && error.code === 'RunClosed')) return state;
  throw error;
}

/** The table is published whatever comes of this: only what another attempt may mend is thrown. */
async function tidy(context: LakeContext, record: TableRecord, meter: Meter): Promise<void> {
  const { config, format, options } = context;
  if (format.cleanUp === undefined) return;
  meter.phase = 'removing staging';
  try {
    await format.cleanUp(record);
    await removeFiles(context, record);
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.handling === 'connection') throw error;
    const said = { connection: config.name, table: record.spec.to, staging: record.staging, reason: error.message };
    options.log.warn(said, 'The table is published; its staging is not removed');
  }
}

async function* filesOf(ledger: LakeLedger, record: TableRecord): AsyncGenerator<DataFile> {
  for await (const { files } of ledger.committedFiles(record)) yield* files;
}

/** Throws CountMismatch at the end, before anything is published, when the files do not hold the rows of the receipts. */
async function* allOf({ files, record, rows: expected }: Publishing, meter: Meter): AsyncGenerator<DataFile> {
  const { run, spec } = record;
  let rows = 0;
  for await (const file of files) {
    rows += file.rows;
    meter.rows += file.rows;
    yield file;
  }
  if (rows === expected) return;
  const message = `${spec.table} of run ${run}: its receipts count ${expected} rows, and their files ${rows}; nothing was published.`;
  throw new LonghaulError('CountMismatch', message);
}
