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
  const files = counted(filesOf(context, record), meter);
  await format.publish({ record, columns: columnsOf(record), epoch, rows: totals.rows, files });
  await reach('publish: after swap');
  await ledger.published(record, epoch);
  await reach('publish: after COMMIT');
  return totals;
}

async function* filesOf({ ledger }: LakeContext, record: TableRecord): AsyncGenerator<DataFile> {
  for await (const { files } of ledger.committedFiles(record)) yield* files;
}

async function* counted(files: AsyncIterable<DataFile>, meter: Meter): AsyncGenerator<DataFile> {
  for await (const file of files) {
    meter.rows += file.rows;
    yield file;
  }
}
