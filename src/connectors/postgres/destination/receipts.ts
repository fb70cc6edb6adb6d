import type { Receipt, ReceiptTotals } from '../../../core/model.js';
import type { PartitionKey } from '../../types.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';
import { firstRow } from './queries.js';

export interface ReceiptRow {
  partition: number;
  predicate_hash: string;
  state: Receipt['state'];
  rows: string;
  quarantined: string;
  bytes: string;
  digest: string | null;
  attempt: number;
  started_at: string;
  committed_at: string;
}

/** to_json writes times as ISO 8601 whatever DateStyle is. */
export const FIELDS = `partition, predicate_hash, state, rows, quarantined, bytes, digest, attempt,
  to_json(started_at) #>> '{}' AS started_at, to_json(committed_at) #>> '{}' AS committed_at`;

export function toReceipt(row: ReceiptRow): Receipt {
  return {
    ordinal: row.partition,
    predicateHash: row.predicate_hash,
    state: row.state,
    rows: Number(row.rows),
    ...quarantinedOf(row),
    bytes: Number(row.bytes),
    ...(row.digest === null ? {} : { digest: row.digest }),
    attempt: row.attempt,
    startedAt: row.started_at,
    committedAt: row.committed_at,
  };
}

/** Absent: none. */
export function quarantinedOf({ quarantined }: { quarantined: string }): { quarantined?: number } {
  return Number(quarantined) > 0 ? { quarantined: Number(quarantined) } : {};
}

/**
 * Claims the one place that a partition's receipt can have, as the first write of its rows' transaction. False: it is taken, and
 * whatever this transaction would write has been written before.
 */
export async function claimReceipt(
  session: PgSession,
  names: LedgerNames,
  { run, table, ordinal }: PartitionKey,
  receipt: Pick<Receipt, 'predicateHash' | 'attempt' | 'state'>,
): Promise<boolean> {
  const claimed = await session.query(
    `INSERT INTO ${names.receipts}
       (run, table_name, partition, predicate_hash, state, rows, bytes, attempt, started_at, committed_at, xids)
     VALUES ($1, $2, $3, $4, $6, 0, 0, $5, now(), now(), ARRAY[txid_current() % 4294967296])
     ON CONFLICT DO NOTHING RETURNING 1`,
    [run, table, ordinal, receipt.predicateHash, receipt.attempt, receipt.state],
  );
  return claimed.length === 1;
}

/**
 * The stored receipt, written once more as it is. A commit that was seen may not have reached the synchronous standbys yet (its
 * session was ended while it waited for them); the caller's commit of this write is acknowledged only after that one.
 */
export async function confirmReceipt(
  session: PgSession,
  names: LedgerNames,
  { run, table, ordinal }: PartitionKey,
): Promise<Receipt | undefined> {
  const row = await firstRow<ReceiptRow>(
    session,
    `UPDATE ${names.receipts} SET attempt = attempt
     WHERE run = $1 AND table_name = $2 AND partition = $3 RETURNING ${FIELDS}`,
    [run, table, ordinal],
  );
  return row && toReceipt(row);
}

export async function completeReceipt(
  session: PgSession,
  names: LedgerNames,
  { run, table, ordinal }: PartitionKey,
  done: { rows: number; quarantined?: number; bytes: number; digest?: string | undefined; xids?: readonly string[] },
): Promise<Receipt> {
  const row = await firstRow<ReceiptRow>(
    session,
    `UPDATE ${names.receipts} SET rows = $4, bytes = $5, digest = $6, quarantined = $7, xids = xids || $8::bigint[],
       committed_at = clock_timestamp()
     WHERE run = $1 AND table_name = $2 AND partition = $3 RETURNING ${FIELDS}`,
    [run, table, ordinal, done.rows, done.bytes, done.digest ?? null, done.quarantined ?? 0, done.xids ?? []],
  );
  return toReceipt(row!);
}

/**
 * Within a savepoint of the transaction that claimed the receipt: what all rows written since have as xmin, which is not the
 * transaction's own.
 */
export async function savepointXid(
  session: PgSession,
  names: LedgerNames,
  { run, table, ordinal }: PartitionKey,
): Promise<string> {
  const row = await firstRow<{ xid: string }>(
    session,
    `UPDATE ${names.receipts} SET attempt = attempt
     WHERE run = $1 AND table_name = $2 AND partition = $3 RETURNING xmin::text AS xid`,
    [run, table, ordinal],
  );
  return row!.xid;
}

/** By xmin, the partitions of a table whose rows have it. */
export async function partitionsOf(
  session: PgSession,
  names: LedgerNames,
  { run, table }: { run: string; table: string },
  xids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await session.query<{ xid: string; partition: number }>(
    `SELECT xid::text AS xid, partition FROM ${names.receipts}, unnest(xids) AS xid
     WHERE run = $1 AND table_name = $2 AND xids && $3::bigint[] AND xid = ANY ($3::bigint[]) ORDER BY partition`,
    [run, table, xids],
  );
  return new Map(rows.map(({ xid, partition }) => [xid, partition]));
}

export async function readTotals(
  session: PgSession,
  names: LedgerNames,
  run: string,
  table: string,
  limit: number,
): Promise<ReceiptTotals> {
  const sums = await firstRow<Record<'committed' | 'skipped' | 'rows' | 'quarantined' | 'bytes', string>>(
    session,
    `SELECT count(*) FILTER (WHERE state = 'committed') AS committed, count(*) FILTER (WHERE state = 'skipped') AS skipped,
            coalesce(sum(rows), 0) AS rows, coalesce(sum(quarantined), 0) AS quarantined, coalesce(sum(bytes), 0) AS bytes
     FROM ${names.receipts} WHERE run = $1 AND table_name = $2`,
    [run, table],
  );
  const missing = await readPending(session, names, { run, table, from: 0, limit });
  const { committed, skipped, rows: written, bytes } = sums!;
  return {
    committed: Number(committed),
    skipped: Number(skipped),
    rows: Number(written),
    ...quarantinedOf(sums!),
    bytes: Number(bytes),
    missing,
  };
}

/** Planned partitions without a receipt from `from` on, below `to`, in order, at most `limit`. */
export async function readPending(
  session: PgSession,
  names: LedgerNames,
  range: { run: string; table: string; from: number; to?: number; limit?: number },
): Promise<number[]> {
  const { run, table, from, to, limit } = range;
  const found = await session.query<{ ordinal: number }>(
    `SELECT ordinal FROM ${names.runTables} t,
       generate_series($3::int, (least(t.partitions, $4::bigint) - 1)::int) AS ordinal
     WHERE t.run = $1 AND t.table_name = $2 AND NOT EXISTS
       (SELECT FROM ${names.receipts} r WHERE r.run = $1 AND r.table_name = $2 AND r.partition = ordinal)
     ORDER BY ordinal LIMIT $5`,
    [run, table, from, to ?? null, limit ?? null],
  );
  return found.map(({ ordinal }) => ordinal);
}

/** See `Ledger.receipts`. */
export async function readReceipts(
  session: PgSession,
  names: LedgerNames,
  { run, table, from, to }: { run: string; table: string; from: number; to: number },
): Promise<Receipt[]> {
  const rows = await session.query<ReceiptRow>(
    `SELECT ${FIELDS} FROM ${names.receipts}
     WHERE run = $1 AND table_name = $2 AND partition >= $3 AND partition < $4 ORDER BY partition`,
    [run, table, from, to],
  );
  return rows.map(toReceipt);
}
