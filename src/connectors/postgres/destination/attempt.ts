import type { Partition, Receipt, TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { Meter, PartitionKey, PartitionWriter, SourceStream } from '../../types.js';
import { runClosed } from '../../run-closed.js';
import { serverFieldsOf } from '../errors.js';
import type { PgSession } from '../session.js';
import { requireRelation } from '../sql.js';
import { claimPartition, keyOf } from './claim.js';
import { culpritsOf, isDuplicate, refusedByKey } from './duplicates.js';
import type { LedgerNames } from './ledger-schema.js';
import { loadStream, type Loaded } from './load.js';
import { completeReceipt } from './receipts.js';
import { readOwnState } from './records.js';
import { stagingIn } from './staging-name.js';
import { lockTarget, requireUnchanged } from './target.js';

/**
 * See `DestinationSession.begin`. The order is the protocol: the partition's lock, then its receipt, then its rows, then the
 * table's state, then COMMIT.
 */
export async function beginPartition(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  partition: Partition,
  attempt: number,
): Promise<PartitionWriter | Receipt> {
  const key = keyOf(record, partition);
  await session.begin('destination');
  try {
    const stored = await claimPartition(session, names, record, partition, { attempt, state: 'committed' });
    if (stored !== undefined) {
      await session.commit();
      return stored;
    }
    await reach('copy: after receipt');
    // Not the fence, which is the last statement before COMMIT, but it spares loading what could not be committed.
    const state = await readOwnState(session, names, record);
    if (state !== 'open') throw runClosed(key, state);
    // What nobody swaps in later has to be right now.
    if (stagingIn(record) === undefined) await requireUnchanged(session, record, await lockTarget(session, record));
    return new PostgresPartitionWriter(session, names, record, key, partition.label);
  } catch (cause) {
    await session.rollback();
    throw cause;
  }
}

/** Ends with `commit`, or rolls back on disposal. `key` is held by the transaction's advisory lock until then. */
class PostgresPartitionWriter implements PartitionWriter {
  #loaded: Loaded | undefined;
  #bytes = 0;
  #over = false;

  constructor(
    private readonly session: PgSession,
    private readonly names: LedgerNames,
    private readonly record: TableRecord,
    private readonly key: PartitionKey,
    private readonly label: string,
  ) {}

  async load(stream: SourceStream, meter: Meter): Promise<number> {
    const before = meter.bytes;
    const { session, names, record, key, label } = this;
    try {
      this.#loaded = await loadStream({ session, names, record, key, label }, stream, meter);
    } catch (cause) {
      throw isDuplicate(cause) ? await this.#notUnique(cause) : cause;
    }
    this.#bytes = meter.bytes - before;
    return this.#loaded.written;
  }

  async commit(rowsRead: number, digest?: string): Promise<Receipt> {
    const loaded = this.#loaded;
    if (!loaded || rowsRead !== loaded.written + loaded.quarantined)
      throw countMismatch(this.record, this.key, rowsRead, loaded);
    const { written, quarantined, xids } = loaded;
    const done = { rows: written, quarantined, xids, bytes: this.#bytes, digest };
    const receipt = await completeReceipt(this.session, this.names, this.key, done);
    await reach('copy: after completion');
    const state = await readOwnState(this.session, this.names, this.record, 'FOR SHARE');
    if (state !== 'open') throw runClosed(this.key, state);
    await reach('copy: before COMMIT');
    await this.session.commit();
    this.#over = true;
    await reach('copy: after COMMIT');
    return receipt;
  }

  /** Rows that others have committed can be looked at only when this transaction is over. */
  async #notUnique(cause: unknown): Promise<unknown> {
    const { session, names, record, label } = this;
    await this[Symbol.asyncDispose]();
    const index = serverFieldsOf(cause)?.constraint;
    const rows = requireRelation(record.staging);
    const duplicate = { index: index === undefined ? undefined : { schema: rows.schema, name: index }, rows };
    const culprits = await culpritsOf(session, names, record, cause, duplicate);
    return culprits ? refusedByKey(record, label, culprits) : cause;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.session.rollback();
  }
}

function countMismatch(
  record: TableRecord,
  { run, table, ordinal }: PartitionKey,
  read: number,
  loaded: Loaded | undefined,
): LonghaulError {
  const aside = loaded?.quarantined ? `, ${loaded.quarantined} set aside` : '';
  const counts = `${read} rows were read${aside} and ${loaded?.written ?? 'none'} written`;
  return new LonghaulError(
    'CountMismatch',
    `Partition ${ordinal} of ${table} in run ${run}: ${counts} into ${record.spec.to}; nothing was committed.`,
    { next: 'It is tried again. If it stays so, a trigger or rule at the destination may drop rows.' },
  );
}
