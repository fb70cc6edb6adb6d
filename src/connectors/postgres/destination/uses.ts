import type { Mode, TableSpec } from '../../../core/model.js';
import type { LastPublished, TargetUse } from '../../types.js';
import { quoteRelation, requireRelation } from '../sql.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';

interface UseRow {
  target: string;
  mode: Mode;
  run: string;
  job: string;
  started: string;
  open: boolean;
  same_name: boolean;
}

/** However the job file spells a target, it is leased under one name. */
export function targetKey(to: string): string {
  return quoteRelation(requireRelation(to));
}

/** Whose rows they are: the job's name, or the workflow id of a run that was opened without one. */
const NAME = 'coalesce(r.name, r.job)';

/**
 * Rows of an append are visible when its table is published, or with its first receipt where each partition publishes itself. A run
 * that is still open counts as if it were at its end. A suspended one may be resumed or given up: nothing of it is visible.
 */
const USES = (names: LedgerNames) => `
  SELECT t.target, t.mode, t.run, r.job, to_json(r.started_at) #>> '{}' AS started,
         t.state IN ('open', 'publishing') AS open, ${NAME} = $3 AS same_name
  FROM ${names.runTables} t JOIN ${names.runs} r USING (run)
  WHERE t.target = ANY ($1::text[]) AND t.run IS DISTINCT FROM $2
    AND (t.state IN ('open', 'publishing')
         OR (t.mode = 'append' AND ${NAME} = $3
             AND (t.state = 'published'
                  OR (t.spec ->> 'publish' = 'partition'
                      AND EXISTS (SELECT FROM ${names.receipts} p WHERE p.run = t.run AND p.table_name = t.table_name
                                  AND p.state = 'committed')))))
  ORDER BY r.started_at DESC, t.run`;

/** See `Ledger.usesOf`; without a name only leases are found. The ledger must be there. In a transaction. */
export async function readUses(
  session: PgSession,
  names: LedgerNames,
  { run, name }: { run?: string; name?: string },
  targets: readonly Pick<TableSpec, 'to' | 'mode'>[],
): Promise<TargetUse[]> {
  const keys = targets.map(({ to }) => targetKey(to));
  const rows = await session.query<UseRow>(USES(names), [keys, run ?? null, name ?? null]);
  const byTarget = new Map<string, UseRow[]>();
  for (const row of rows) byTarget.set(row.target, [...(byTarget.get(row.target) ?? []), row]);
  return targets.flatMap((wanted, index) => usesOfOne(wanted, byTarget.get(keys[index]!) ?? []));
}

function usesOfOne({ to, mode }: Pick<TableSpec, 'to' | 'mode'>, rows: readonly UseRow[]): TargetUse[] {
  const held = rows.find((row) => row.open && !(row.mode === 'append' && mode === 'append'));
  const appended = mode === 'append' ? rows.find((row) => row.mode === 'append' && row.same_name) : undefined;
  const use = ({ run, job, started }: UseRow, use: TargetUse['use']) => ({ to, use, run, job, startedAt: started });
  return [...(held ? [use(held, 'held')] : []), ...(appended ? [use(appended, 'appended')] : [])];
}

/** Of each target its latest replacement, whatever that was of. Its plan's number outlives the plan. */
const LAST = (names: LedgerNames) => `
  SELECT DISTINCT ON (target) target, run, (spec -> 'queries') IS NOT NULL AS queried, partitions,
         to_json(changed_at) #>> '{}' AS published
  FROM ${names.runTables}
  WHERE target = ANY ($1::text[]) AND run IS DISTINCT FROM $2 AND mode = 'replace' AND state = 'published'
  ORDER BY target, changed_at DESC`;

interface LastRow {
  target: string;
  run: string;
  queried: boolean;
  partitions: string;
  published: string;
}

/** See `Ledger.lastPublished`. The ledger must be there. */
export async function readLastPublished(
  session: PgSession,
  names: LedgerNames,
  run: string | undefined,
  targets: readonly string[],
): Promise<LastPublished[]> {
  const rows = await session.query<LastRow>(LAST(names), [targets.map(targetKey), run ?? null]);
  const byTarget = new Map(rows.filter(({ queried }) => queried).map((row) => [row.target, row]));
  return targets.flatMap((to) => {
    const row = byTarget.get(targetKey(to));
    return row === undefined ? [] : [{ to, run: row.run, queries: Number(row.partitions), publishedAt: row.published }];
  });
}
