import type { TableRecord } from '../../../core/model.js';
import { reach } from '../../../core/fail-points.js';
import type { SnapshotKey } from '../../types.js';
import type { PgSession } from '../session.js';
import { formatRelation } from '../sql.js';
import type { LedgerNames } from './ledger-schema.js';
import { endPublishing } from './publish-lock.js';
import { BRIEFLY, firstRow, transaction } from './queries.js';
import { readRecords } from './records.js';
import { stagingOf } from './staging-name.js';

export async function putSnapshot(
  session: PgSession,
  names: LedgerNames,
  key: SnapshotKey,
): Promise<{ takenAt: string }> {
  return transaction(session, async () => {
    await session.query(`INSERT INTO ${names.snapshots} (run, snapshot) VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
      key.run,
      key.snapshot,
    ]);
    const taken = await readSnapshot(session, names, key);
    return taken!;
  });
}

export async function readSnapshot(
  session: PgSession,
  names: LedgerNames,
  { run, snapshot }: SnapshotKey,
): Promise<{ takenAt: string } | undefined> {
  const row = await firstRow<{ taken_at: string }>(
    session,
    `SELECT to_json(taken_at) #>> '{}' AS taken_at FROM ${names.snapshots} WHERE run = $1 AND snapshot = $2`,
    [run, snapshot],
  );
  return row && { takenAt: row.taken_at };
}

/** See `Ledger.startOver`. Whoever publishes is ended first, as when a run is closed. */
export async function startOver(
  session: PgSession,
  names: LedgerNames,
  { run, snapshot }: SnapshotKey,
): Promise<readonly TableRecord[]> {
  const records = await transaction(session, async () => {
    await endPublishing(session, names, run);
    for (const record of await readRecords(session, names, run)) {
      if (isUnder(record, snapshot)) await renew(session, names, record, snapshot + 1);
    }
    await reach('start over: before COMMIT');
    return readRecords(session, names, run);
  });
  await reach('start over: after COMMIT');
  return records;
}

/** A resumed run's unpublished tables, in the transaction that opens it: nobody holds what they were read under. */
export async function startOverAll(session: PgSession, names: LedgerNames, { run }: { run: string }): Promise<void> {
  const records = await readRecords(session, names, run);
  const last = Math.max(0, ...records.map(({ snapshot = 0 }) => snapshot));
  for (const record of records) if (isUnder(record, last)) await renew(session, names, record, last + 1);
}

function isUnder({ state, snapshot }: TableRecord, last: number): boolean {
  return (state === 'open' || state === 'publishing') && snapshot !== undefined && snapshot <= last;
}

/**
 * The table's row first: it waits for the partitions that are about to commit, which hold it FOR SHARE, so that their receipts are
 * there to be deleted; those that come after it find another number in the row, and roll back.
 */
async function renew(session: PgSession, names: LedgerNames, record: TableRecord, snapshot: number): Promise<void> {
  const { run, spec } = record;
  const staging = formatRelation(stagingOf(run, spec.table, spec.to, snapshot));
  const renewed = await session.query(
    `UPDATE ${names.runTables} SET state = 'open', snapshot = $3, staging = $4, partitions = NULL, pages = NULL,
       estimated_rows = NULL, plan_reason = NULL, planned_at = NULL, changed_at = clock_timestamp()
     WHERE run = $1 AND table_name = $2 AND state IN ('open', 'publishing') RETURNING ${BRIEFLY}`,
    [run, spec.table, snapshot, staging],
  );
  if (renewed.length === 0) return;
  for (const kept of [names.receipts, names.rejects, names.planPages]) {
    await session.query(`DELETE FROM ${kept} WHERE run = $1 AND table_name = $2`, [run, spec.table]);
  }
}
