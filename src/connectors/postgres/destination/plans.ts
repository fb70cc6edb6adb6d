import type { Partition, PlanSummary, TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import { lockKey } from '../../hash.js';
import { PAGE_SIZE, pagesOf } from '../../plan-pages.js';
import type { PlanInput } from '../../types.js';
import { runClosed } from '../../run-closed.js';
import type { PgSession } from '../session.js';
import type { LedgerNames } from './ledger-schema.js';
import { takeLock } from './locks.js';
import { BRIEFLY, firstRow, transaction } from './queries.js';
import { readOwnState } from './records.js';

interface Key {
  readonly run: string;
  readonly table: string;
}

/** Whose plan it is: a table that was started over meanwhile takes none that was made under the snapshot before. */
export type Planned = Pick<TableRecord, 'run' | 'spec' | 'snapshot'>;

/**
 * See `Ledger.putPlan`. The pages and the summary become visible together. The lock is on the planning alone and not on the
 * table's row, so that a run can be closed while its planning takes long; a planner who lost its worker is ended by the next.
 */
export async function putPlan(
  session: PgSession,
  names: LedgerNames,
  record: Planned,
  plan: PlanInput,
): Promise<PlanSummary> {
  const key = { run: record.run, table: record.spec.table };
  await reach('plan: before lock');
  const made = await transaction(session, async () => {
    await takeLock(session, lockKey('longhaul.plan', key.run, key.table), `the planning of ${key.table}`);
    const stored = await readPlan(session, names, key);
    if (stored) return stored;
    const partitions = await insertPages(session, names, key, plan.partitions);
    await summarize(session, names, key, { ...plan, partitions });
    const state = await readOwnState(session, names, record, 'FOR SHARE');
    if (state !== 'open') throw runClosed(key, state);
    const summary = await readPlan(session, names, key);
    await reach('plan: before COMMIT');
    return summary!;
  });
  await reach('plan: after COMMIT');
  return made;
}

export async function readPlan(session: PgSession, names: LedgerNames, key: Key): Promise<PlanSummary | undefined> {
  const row = await firstRow<{ partitions: string; pages: number; estimated: string | null; reason: string }>(
    session,
    `SELECT partitions, pages, estimated_rows AS estimated, plan_reason AS reason
     FROM ${names.runTables} WHERE run = $1 AND table_name = $2 AND partitions IS NOT NULL`,
    [key.run, key.table],
  );
  if (!row) return undefined;
  const estimated = row.estimated === null ? {} : { estimatedRows: Number(row.estimated) };
  return { partitions: Number(row.partitions), pages: row.pages, reason: row.reason, ...estimated };
}

/** One partition, picked out of its page by the server. */
export async function readPartition(
  session: PgSession,
  names: LedgerNames,
  key: Key,
  ordinal: number,
): Promise<Partition> {
  const row = await firstRow<{ partition: string | null }>(
    session,
    `SELECT (partitions -> $4::int)::text AS partition FROM ${names.planPages}
     WHERE run = $1 AND table_name = $2 AND page = $3`,
    [key.run, key.table, Math.floor(ordinal / PAGE_SIZE), ordinal % PAGE_SIZE],
  );
  if (row?.partition == null) throw noPartition(key, ordinal);
  return JSON.parse(row.partition) as Partition;
}

/** Answers with how many there were. One page at a time is in memory. */
async function insertPages(
  session: PgSession,
  names: LedgerNames,
  key: Key,
  partitions: PlanInput['partitions'],
): Promise<number> {
  let [page, count] = [0, 0];
  for await (const each of pagesOf(key.table, partitions)) {
    await reach('plan: before page');
    await session.query(`INSERT INTO ${names.planPages} (run, table_name, page, partitions) VALUES ($1, $2, $3, $4)`, [
      key.run,
      key.table,
      page++,
      JSON.stringify(each),
    ]);
    await reach('plan: after page');
    count += each.length;
  }
  return count;
}

async function summarize(
  session: PgSession,
  names: LedgerNames,
  key: Key,
  plan: { partitions: number; reason: string; estimatedRows?: number },
): Promise<void> {
  const estimated = plan.estimatedRows === undefined ? null : Math.round(plan.estimatedRows);
  await session.query(
    `UPDATE ${names.runTables}
     SET partitions = $3, pages = $4, estimated_rows = $5, plan_reason = $6, planned_at = now()
     WHERE run = $1 AND table_name = $2 RETURNING ${BRIEFLY}`,
    [key.run, key.table, plan.partitions, Math.ceil(plan.partitions / PAGE_SIZE), estimated, plan.reason],
  );
}

function noPartition({ run, table }: Key, ordinal: number): LonghaulError {
  return new LonghaulError('PlanChanged', `The stored plan of ${table} in run ${run} has no partition ${ordinal}.`, {
    next: 'Start the job again without `resume`.',
  });
}
