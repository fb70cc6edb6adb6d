import type { Partition, Receipt, TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { Meter, PartitionKey, PartitionWriter, SourceStream } from '../../types.js';
import type { PgSession } from '../session.js';
import { quoteColumns, quoteRelation, requireRelation } from '../sql.js';
import { CopyIn, pipeFrames } from '../wire/index.js';
import { claimPartition, keyOf } from './claim.js';
import type { LedgerNames } from './ledger-schema.js';
import { completeReceipt } from './receipts.js';
import { readOwnState, runClosed } from './records.js';
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
    return new PostgresPartitionWriter(session, names, record, key);
  } catch (cause) {
    await session.rollback();
    throw cause;
  }
}

/** Ends with `commit`, or rolls back on disposal. `key` is held by the transaction's advisory lock until then. */
class PostgresPartitionWriter implements PartitionWriter {
  #written: number | undefined;
  #bytes = 0;
  #over = false;

  constructor(
    private readonly session: PgSession,
    private readonly names: LedgerNames,
    private readonly record: TableRecord,
    private readonly key: PartitionKey,
  ) {}

  async load(stream: SourceStream, meter: Meter): Promise<number> {
    const before = meter.bytes;
    const sql = this.#copyStatement(stream);
    if (stream.kind === 'rows') throw unknownFormat(this.session, stream.format);
    const copy = new CopyIn(this.session.client, { sql, signal: this.session.options.signal, meter });
    try {
      const { rowsWritten } = await pipeFrames(stream, copy);
      this.#written = rowsWritten;
      meter.rows = rowsWritten;
    } catch (cause) {
      throw this.session.mapped(cause);
    }
    this.#bytes = meter.bytes - before;
    return this.#written;
  }

  async commit(rowsRead: number, digest?: string): Promise<Receipt> {
    if (rowsRead !== this.#written) throw countMismatch(this.record, this.key, rowsRead, this.#written);
    const done = { rows: rowsRead, bytes: this.#bytes, digest };
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

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.session.rollback();
  }

  #copyStatement({ format }: SourceStream): string {
    if (format !== this.record.format) throw unknownFormat(this.session, format);
    const into = `${quoteRelation(requireRelation(this.record.staging))} (${quoteColumns(this.record.columns)})`;
    return `COPY ${into} FROM STDIN (FORMAT ${format === 'postgres.copy.binary' ? 'binary' : 'text'})`;
  }
}

function unknownFormat(session: PgSession, format: string): LonghaulError {
  return new LonghaulError(
    'SourceChanged',
    `Connection "${session.name}" was not prepared to take a stream of format ${format}.`,
    { next: 'Start the job again, so that the format is chosen anew.' },
  );
}

function countMismatch(
  record: TableRecord,
  { run, table, ordinal }: PartitionKey,
  read: number,
  written: number | undefined,
): LonghaulError {
  const counts = `${read} rows were read and ${written ?? 'none'} written`;
  return new LonghaulError(
    'CountMismatch',
    `Partition ${ordinal} of ${table} in run ${run}: ${counts} into ${record.spec.to}; nothing was committed.`,
    { next: 'It is tried again. If it stays so, a trigger or rule at the destination may drop rows.' },
  );
}
