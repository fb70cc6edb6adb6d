import type { PartitionOutcome } from '../../types.js';
import { PAGE_SIZE } from '../../plan-pages.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';
import { FIELDS, toReceipt, type ReceiptRow } from './receipts.js';

type Row = { ordinal: number; label: string } & (ReceiptRow | { [Key in keyof ReceiptRow]: null });

/** Each page is taken apart once, whatever many of its partitions are asked for. */
const OUTCOMES = ({ planPages, receipts }: LedgerNames) => `
  SELECT w.ordinal, w.label, r.*
  FROM (SELECT (p.page * ${PAGE_SIZE} + e.place - 1)::int AS ordinal, e.partition ->> 'label' AS label
        FROM ${planPages} p, json_array_elements(p.partitions) WITH ORDINALITY AS e (partition, place)
        WHERE p.run = $1 AND p.table_name = $2 AND p.page IN (SELECT o / ${PAGE_SIZE} FROM unnest($3::int[]) AS o)) w
  LEFT JOIN (SELECT ${FIELDS} FROM ${receipts} WHERE run = $1 AND table_name = $2 AND partition = ANY ($3::int[])) r
    ON r.partition = w.ordinal
  WHERE w.ordinal = ANY ($3::int[]) ORDER BY w.ordinal`;

/** See `Ledger.outcomes`. */
export async function readOutcomes(
  session: PgSession,
  names: LedgerNames,
  { run, table }: { run: string; table: string },
  ordinals: readonly number[],
): Promise<PartitionOutcome[]> {
  const rows = await session.query<Row>(OUTCOMES(names), [run, table, [...ordinals]]);
  return rows.map(({ ordinal, label, ...row }) => ({
    ...{ ordinal, label },
    ...(row.partition !== null && { receipt: toReceipt(row) }),
  }));
}
