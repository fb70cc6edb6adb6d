import type { Partition, Receipt, TableRecord } from '../../../core/model.js';
import { runClosed } from '../../run-closed.js';
import type { PgSession } from '../session.js';
import { claimPartition, keyOf } from './claim.js';
import type { LedgerNames } from './ledger-schema.js';
import { transaction } from './queries.js';
import { completeReceipt } from './receipts.js';
import { readOwnState } from './records.js';

/** See `Ledger.skip`. The steps of an attempt without its rows. */
export function skipPartition(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  partition: Partition,
  attempt: number,
): Promise<Receipt> {
  const key = keyOf(record, partition);
  return transaction(session, async () => {
    const stored = await claimPartition(session, names, record, partition, { attempt, state: 'skipped' });
    if (stored !== undefined) return stored;
    const receipt = await completeReceipt(session, names, key, { rows: 0, bytes: 0 });
    const state = await readOwnState(session, names, record, 'FOR SHARE');
    if (state !== 'open') throw runClosed(key, state);
    return receipt;
  });
}
