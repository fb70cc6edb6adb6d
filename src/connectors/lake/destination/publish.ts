import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { ReceiptTotals, TableRecord } from '../../../core/model.js';
import type { Meter } from '../../types.js';
import type { DataFile } from '../model.js';
import { columnsOf } from './columns.js';
import type { LakeContext } from './context.js';

/** See `DestinationSession.publish`. */
export async function publishTable(context: LakeContext, record: TableRecord, meter: Meter): Promise<ReceiptTotals> {
  const { ledger, format } = context;
  await reach('publish: before fence');
  const { totals, epoch } = await ledger.beginPublish(record);
  if (epoch === undefined) return totals;
  await reach('publish: after fence COMMIT');
  meter.phase = 'publishing';
  const files = allOf(filesOf(context, record), record, totals.rows, meter);
  await format.publish({ record, columns: columnsOf(record), epoch, rows: totals.rows, files });
  await reach('publish: after swap');
  await ledger.published(record, epoch);
  await reach('publish: after COMMIT');
  return totals;
}

async function* filesOf({ ledger }: LakeContext, record: TableRecord): AsyncGenerator<DataFile> {
  for await (const { files } of ledger.committedFiles(record)) yield* files;
}

/** Throws CountMismatch at the end, before anything is published, when the files do not hold the rows of the receipts. */
async function* allOf(
  files: AsyncIterable<DataFile>,
  { run, spec }: TableRecord,
  expected: number,
  meter: Meter,
): AsyncGenerator<DataFile> {
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
