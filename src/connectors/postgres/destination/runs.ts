import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import { changesSince } from '../../../core/resume.js';
import type { TableRecord } from '../../../core/model.js';
import type { NewTableRecord, OpenOptions, RunRecord } from '../../types.js';
import { refusedFor } from '../../target-use.js';
import { formatRelation } from '../sql.js';
import type { PgSession } from '../session.js';
import { lockOpening } from './housekeeping.js';
import { install, type LedgerNames } from './ledger-schema.js';
import { endPublishing } from './publish-lock.js';
import { readRecords } from './records.js';
import { startOverAll } from './snapshots.js';
import { loadedInto } from './staging-name.js';
import { transaction } from './queries.js';
import { readUses, targetKey } from './uses.js';

/** See `Ledger.openRun`. One advisory lock for the whole ledger, held for a moment: of two jobs on one target one sees the other. */
export async function openRun(
  session: PgSession,
  names: LedgerNames,
  run: RunRecord,
  tables: readonly NewTableRecord[],
  { resume = false, again = false }: OpenOptions = {},
): Promise<readonly TableRecord[]> {
  await install(session, names);
  await reach('open: before transaction');
  const records = await transaction(session, async () => {
    await lockOpening(session, names);
    const stored = await readRecords(session, names, run.run, { queries: true });
    if (resume && stored.length === 0) throw unknownRun(session, run);
    if (stored.length > 0) {
      refuseChanges(run, stored, tables);
      await refuseForgotten(session, names, run);
    }
    await refuseUsed(session, names, run, { tables, stored, again });
    await putRun(session, names, run);
    if (stored.length === 0) await insertTables(session, names, run, tables);
    else await reopen(session, names, run);
    if (resume) await startOverAll(session, names, run);
    await reach('open: before COMMIT');
    return readRecords(session, names, run.run);
  });
  await reach('open: after COMMIT');
  return records;
}

async function putRun(session: PgSession, names: LedgerNames, record: RunRecord): Promise<void> {
  const { run, job, name = null, startedAt = null, keepStaging = null } = record;
  await session.query(
    `INSERT INTO ${names.runs} (run, job, name, started_at, keep_staging_ms)
     VALUES ($1, $2, $3, coalesce($4::timestamptz, now()), $5)
     ON CONFLICT (run) DO UPDATE
       SET job = excluded.job, name = coalesce(runs.name, excluded.name), keep_staging_ms = excluded.keep_staging_ms`,
    [run, job, name, startedAt, keepStaging],
  );
}

async function insertTables(
  session: PgSession,
  names: LedgerNames,
  { run }: RunRecord,
  tables: readonly NewTableRecord[],
): Promise<void> {
  for (const [position, table] of tables.entries()) {
    const { spec, source, shape, columns, format, fingerprint } = table;
    const snapshot = spec.consistency === 'snapshot' ? 1 : undefined;
    const staging = formatRelation(loadedInto(run, spec, snapshot));
    const { queries, ...rest } = spec;
    const kept = queries === undefined ? spec : { ...rest, queries: [] };
    const json = [kept, shape, columns, fingerprint].map((value) => JSON.stringify(value));
    const text = queries === undefined ? null : JSON.stringify(queries);
    await session.query(
      `INSERT INTO ${names.runTables}
         (run, table_name, position, target, mode, state, source, format, staging, spec, shape, columns, fingerprint, snapshot, queries)
       VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
      [
        run,
        spec.table,
        position,
        targetKey(spec.to),
        spec.mode,
        source,
        format,
        staging,
        ...json,
        snapshot ?? null,
        text,
      ],
    );
  }
}

/**
 * A table in `publishing` goes back as well: whoever is in the middle of its swap is ended, and starts over. An open one changes too: who
 * has seen it left by a workflow that is gone must see that another has taken it.
 */
async function reopen(session: PgSession, names: LedgerNames, { run }: RunRecord): Promise<void> {
  await endPublishing(session, names, run);
  await session.query(
    `UPDATE ${names.runTables} SET state = 'open', changed_at = clock_timestamp()
     WHERE run = $1 AND state IN ('open', 'suspended', 'publishing')`,
    [run],
  );
}

async function refuseUsed(
  session: PgSession,
  names: LedgerNames,
  { run, name }: RunRecord,
  { tables, stored, again }: { tables: readonly NewTableRecord[]; stored: readonly TableRecord[]; again: boolean },
): Promise<void> {
  const published = new Set(stored.filter(({ state }) => state === 'published').map(({ spec }) => spec.table));
  const wanted = tables.flatMap(({ spec }) => (published.has(spec.table) ? [] : [spec]));
  const uses = await readUses(session, names, { run, ...(name !== undefined && { name }) }, wanted);
  const refused = refusedFor(session.name, uses, stored, { again });
  if (refused) throw refused;
}

function unknownRun(session: PgSession, { run }: RunRecord): LonghaulError {
  return new LonghaulError('ResumeRefused', `The ledger of connection "${session.name}" knows no run ${run}.`, {
    next: 'Check the run id and the destination, or start without `resume`.',
  });
}

function refuseChanges(run: RunRecord, stored: readonly TableRecord[], tables: readonly NewTableRecord[]): void {
  const changes = changesSince(stored, tables);
  if (changes.length === 0) return;
  throw new LonghaulError(
    'ResumeRefused',
    `Run ${run.run} can't go on, because it would no longer copy the same:\n${changes.join('\n')}\nWhat it has committed was left as it is.`,
    { next: 'Undo the change to go on with this run, or start a new one without `resume`.' },
  );
}

async function refuseForgotten(session: PgSession, names: LedgerNames, { run }: RunRecord): Promise<void> {
  const found = await session.query(`SELECT FROM ${names.runs} WHERE run = $1 AND forgotten_at IS NOT NULL`, [run]);
  if (found.length === 0) return;
  throw new LonghaulError('ResumeRefused', `Run ${run} was published, and its plan and receipts were cleaned away.`, {
    next: 'There is nothing to go on with: start a new run without `resume`.',
  });
}
