import { reach } from '../../../core/fail-points.js';
import { LonghaulError } from '../../../core/errors.js';
import type { ReceiptTotals, TableRecord } from '../../../core/model.js';
import type { Meter } from '../../types.js';
import type { DataFile } from '../model.js';
import { inOrder } from './in-order.js';
import { lakeColumns } from './columns.js';
import type { LakeContext } from './context.js';

/** Looks at so many files at the same time. */
const LOOKS = 32;

/** See `DestinationSession.publish`. */
export async function publishTable(context: LakeContext, record: TableRecord, meter: Meter): Promise<ReceiptTotals> {
  const { ledger, format } = context;
  await reach('publish: before fence');
  const { totals, epoch } = await ledger.beginPublish(record);
  if (epoch === undefined) return totals;
  await reach('publish: after fence COMMIT');
  meter.phase = 'publishing';
  const { run, spec, shape, columns, fingerprint } = record;
  await format.publish({
    ...{ run, spec, epoch, mode: spec.mode, rows: totals.rows },
    ...{ columns: lakeColumns(spec, shape, columns).columns, fingerprint: fingerprint['target']! },
    files: () => lookedAt(context, record, filesOf(context, record), meter),
  });
  await reach('publish: after swap');
  await ledger.published(record, epoch);
  await reach('publish: after COMMIT');
  return totals;
}

async function* filesOf({ ledger }: LakeContext, record: TableRecord): AsyncGenerator<DataFile> {
  for await (const { files } of ledger.committedFiles(record)) yield* files;
}

/** A receipt promises its files: one that is gone or cut short is found before anybody is pointed to it. */
async function* lookedAt(
  { store, config }: LakeContext,
  { spec }: TableRecord,
  files: AsyncIterable<DataFile>,
  meter: Meter,
): AsyncGenerator<DataFile> {
  const look = async (file: DataFile): Promise<DataFile> => {
    const found = await store.head(file.path);
    if (found?.size !== file.size) throw fileGone(config.name, spec.to, file, found?.size);
    return file;
  };
  for await (const file of inOrder(files, LOOKS, look)) {
    meter.rows += file.rows;
    yield file;
  }
}

function fileGone(connection: string, to: string, { path, size }: DataFile, found: number | undefined): LonghaulError {
  const what = found === undefined ? 'is gone' : `has ${found} bytes, and ${size} were written`;
  return new LonghaulError('TargetChanged', `Connection "${connection}": ${path} ${what}; ${to} was left as it is.`, {
    next: 'See who removes or writes files below _longhaul/ of the table, then start the job anew.',
  });
}
