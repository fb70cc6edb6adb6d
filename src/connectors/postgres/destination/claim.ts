import type { Partition, Receipt, TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import { lockKey, predicateHash } from '../../hash.js';
import type { PartitionKey } from '../../types.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';
import { takeLock } from './locks.js';
import { claimReceipt, confirmReceipt } from './receipts.js';

export function keyOf(record: TableRecord, { ordinal }: Partition): PartitionKey {
  return { run: record.run, table: record.spec.table, ordinal };
}

/**
 * How every transaction that decides on a partition begins: with its lock, then its receipt. Undefined: the receipt is this
 * transaction's, and whoever was at work on the partition was ended. Else the receipt that was there: it holds once the caller has
 * committed.
 */
export async function claimPartition(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  partition: Partition,
  claim: Pick<Receipt, 'attempt' | 'state'>,
): Promise<Receipt | undefined> {
  const key = keyOf(record, partition);
  const what = `partition ${partition.label} of ${key.table}`;
  const hash = predicateHash(partition, record.columns);
  await reach('copy: before lock');
  await takeLock(session, lockKey('longhaul.partition', key.run, key.table, key.ordinal), what);
  await reach('copy: before receipt');
  if (await claimReceipt(session, names, key, { predicateHash: hash, ...claim })) return undefined;
  return storedReceipt(session, names, key, { hash, what });
}

async function storedReceipt(
  session: PgSession,
  names: LedgerNames,
  key: PartitionKey,
  { hash, what }: { hash: string; what: string },
): Promise<Receipt> {
  const receipt = await confirmReceipt(session, names, key);
  if (receipt?.predicateHash === hash) return receipt;
  throw new LonghaulError(
    'PlanChanged',
    `The receipt of ${what} in run ${key.run} is for another predicate or other columns; nothing was written.`,
    { next: 'Start the job again without `resume`: this run was planned differently.' },
  );
}
