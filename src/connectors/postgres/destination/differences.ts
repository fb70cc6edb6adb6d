import type { Difference } from '../../types.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';
import { transaction } from './queries.js';

/** See `Ledger.putDifferences`. */
export async function putDifferences(
  session: PgSession,
  names: LedgerNames,
  { run, table, from, to }: { run: string; table: string; from: number; to: number },
  found: readonly Difference[],
): Promise<void> {
  await transaction(session, async () => {
    await session.query(
      `DELETE FROM ${names.differences} WHERE run = $1 AND table_name = $2 AND partition >= $3 AND partition < $4`,
      [run, table, from, to],
    );
    if (found.length === 0) return;
    await session.query(
      `INSERT INTO ${names.differences} (run, table_name, partition, key, difference)
       SELECT $1, $2, * FROM unnest($3::int[], $4::text[], $5::text[]) ON CONFLICT DO NOTHING`,
      [run, table, found.map(({ ordinal }) => ordinal), found.map(({ key }) => key), found.map((f) => f.difference)],
    );
  });
}
