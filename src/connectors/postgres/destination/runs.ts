import { LonghaulError } from '../../../core/errors.js';
import type { Mode, TableRecord, TableState } from '../../../core/model.js';
import type { NewTableRecord, RunRecord } from '../../types.js';
import { lockKey } from '../../hash.js';
import { formatRelation, quoteRelation, requireRelation } from '../sql.js';
import type { PgSession } from '../session.js';
import { install, type LedgerNames } from './ledger-schema.js';
import { endPublishing } from './publish-lock.js';
import { readRecords } from './records.js';
import { startOverAll } from './snapshots.js';
import { stagingOf } from './staging-name.js';
import { transaction } from './queries.js';

/** See `Ledger.openRun`. One advisory lock for the whole ledger, held for a moment: of two jobs on one target one sees the other. */
export async function openRun(
  session: PgSession,
  names: LedgerNames,
  run: RunRecord,
  tables: readonly NewTableRecord[],
  resume: boolean,
): Promise<readonly TableRecord[]> {
  await install(session, names);
  return transaction(session, async () => {
    await session.query('SELECT pg_advisory_xact_lock($1)', [lockKey('longhaul.open', names.schema)]);
    const stored = await readRecords(session, names, run.run);
    if (resume && stored.length === 0) throw unknownRun(session, run);
    if (stored.length > 0) refuseChanges(run, stored, tables);
    const wanted = tables.filter(({ spec }) => stateOf(stored, spec.table) !== 'published');
    await refuseLeased(session, names, run, wanted);
    await putRun(session, names, run);
    if (stored.length === 0) await insertTables(session, names, run, tables);
    else await reopen(session, names, run);
    if (resume) await startOverAll(session, names, run);
    return readRecords(session, names, run.run);
  });
}

function stateOf(stored: readonly TableRecord[], table: string): TableState | undefined {
  return stored.find(({ spec }) => spec.table === table)?.state;
}

async function putRun(session: PgSession, names: LedgerNames, { run, job, startedAt }: RunRecord): Promise<void> {
  await session.query(
    `INSERT INTO ${names.runs} (run, job, started_at) VALUES ($1, $2, coalesce($3::timestamptz, now()))
     ON CONFLICT (run) DO UPDATE SET job = excluded.job`,
    [run, job, startedAt ?? null],
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
    const staging = formatRelation(stagingOf(run, spec.table, spec.to, snapshot));
    const json = [spec, shape, columns, fingerprint].map((value) => JSON.stringify(value));
    await session.query(
      `INSERT INTO ${names.runTables}
         (run, table_name, position, target, mode, state, source, format, staging, spec, shape, columns, fingerprint, snapshot)
       VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11, $12, $13)`,
      [run, spec.table, position, targetKey(spec.to), spec.mode, source, format, staging, ...json, snapshot ?? null],
    );
  }
}

/** A table in `publishing` goes back as well: whoever is in the middle of its swap is ended, and starts over. */
async function reopen(session: PgSession, names: LedgerNames, { run }: RunRecord): Promise<void> {
  await endPublishing(session, names, run);
  await session.query(
    `UPDATE ${names.runTables} SET state = 'open', changed_at = now()
     WHERE run = $1 AND state IN ('suspended', 'publishing')`,
    [run],
  );
}

/** However the job file spells a target, it is leased under one name. */
function targetKey(to: string): string {
  return quoteRelation(requireRelation(to));
}

interface Lease {
  target: string;
  mode: Mode;
  run: string;
  job: string;
}

async function refuseLeased(
  session: PgSession,
  names: LedgerNames,
  { run }: RunRecord,
  tables: readonly NewTableRecord[],
): Promise<void> {
  const leases = await session.query<Lease>(
    `SELECT t.target, t.mode, t.run, r.job FROM ${names.runTables} t JOIN ${names.runs} r USING (run)
     WHERE t.target = ANY ($1::text[]) AND t.run <> $2 AND t.state IN ('open', 'publishing')`,
    [tables.map(({ spec }) => targetKey(spec.to)), run],
  );
  for (const { spec } of tables) {
    const shared = (lease: Lease) => lease.mode === 'append' && spec.mode === 'append';
    const held = leases.find((lease) => lease.target === targetKey(spec.to) && !shared(lease));
    if (held) throw targetLeased(session, spec.to, held);
  }
}

function targetLeased(session: PgSession, to: string, { run, job }: Lease): LonghaulError {
  return new LonghaulError(
    'TargetLeased',
    `Target ${to} of connection "${session.name}" is held by run ${run} of job ${job}; nothing was touched.`,
    {
      next: `Wait until that job ends, or cancel it. If its workflow is gone: take the run over with \`resume: ${run}\`, or give it up with \`longhaul clean --run ${run} --destination ${session.name}\`.`,
    },
  );
}

function unknownRun(session: PgSession, { run }: RunRecord): LonghaulError {
  return new LonghaulError('ResumeRefused', `The ledger of connection "${session.name}" knows no run ${run}.`, {
    next: 'Check the run id and the destination, or start without `resume`.',
  });
}

function refuseChanges(run: RunRecord, stored: readonly TableRecord[], tables: readonly NewTableRecord[]): void {
  const changes = [
    ...stored
      .filter(({ state }) => state === 'discarded')
      .map(({ spec }) => `${spec.table}: its staging was discarded`),
    ...stored.filter(({ spec }) => !find(tables, spec.table)).map(({ spec }) => `${spec.table}: no longer in the job`),
    ...tables.flatMap((table) => changesOf(table, find(stored, table.spec.table))),
  ];
  if (changes.length === 0) return;
  throw new LonghaulError(
    'ResumeRefused',
    `Run ${run.run} can't go on, because it would no longer copy the same:\n${changes.join('\n')}\nWhat it has committed was left as it is.`,
    { next: 'Undo the change to go on with this run, or start a new one without `resume`.' },
  );
}

function find<T extends NewTableRecord>(tables: readonly T[], name: string): T | undefined {
  return tables.find(({ spec }) => spec.table === name);
}

/** Publishing changes the target itself, so a published table's own is not compared. */
function changesOf(wanted: NewTableRecord, stored: TableRecord | undefined): string[] {
  if (!stored) return [`${wanted.spec.table}: not in the run`];
  const parts = new Set([...Object.keys(wanted.fingerprint), ...Object.keys(stored.fingerprint)]);
  if (stored.state === 'published') parts.delete('target');
  return [...parts]
    .filter((part) => wanted.fingerprint[part] !== stored.fingerprint[part])
    .map((part) => `${wanted.spec.table}: its ${part} changed`);
}
