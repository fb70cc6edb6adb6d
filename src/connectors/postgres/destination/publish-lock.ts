import { lockKey } from '../../hash.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';
import { takeLock } from './locks.js';

/**
 * Taken before the table's row by whoever closes the table or swaps it in. Behind the row alone, a swap whose worker is gone
 * would hold up everybody as long as its INSERT goes on, which no client ends; its session is found by this lock, and ended.
 */
export function lockPublishing(session: PgSession, { run, table }: { run: string; table: string }): Promise<void> {
  return takeLock(session, lockKey('longhaul.publish', run, table), `the publishing of ${table}`);
}

/** Ends whoever publishes a table of the run, and keeps it from beginning until this transaction ends. */
export async function endPublishing(session: PgSession, names: LedgerNames, run: string): Promise<void> {
  const tables = await session.query<{ table: string }>(
    `SELECT table_name AS "table" FROM ${names.runTables}
     WHERE run = $1 AND state IN ('open', 'publishing') ORDER BY position`,
    [run],
  );
  for (const { table } of tables) await lockPublishing(session, { run, table });
}
