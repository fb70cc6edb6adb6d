import type { TableRecord, TableState } from '../../../core/model.js';
import type { QueryOption } from '../../types.js';
import { startedOver } from '../../run-closed.js';
import type { PgSession } from '../session.js';
import { BRIEFLY, firstRow } from './queries.js';
import type { LedgerNames } from './ledger-schema.js';

interface RecordRow {
  run: string;
  source: string;
  spec: string;
  /** Absent: they were not asked for. */
  queries?: string | null;
  shape: string;
  columns: string;
  format: string;
  fingerprint: string;
  staging: string;
  state: TableState;
  expired: boolean;
  snapshot: number | null;
}

/** JSON is fetched as text, so that its form doesn't depend on what the driver makes of json. */
const FIELDS = `run, source, spec::text AS spec, shape::text AS shape, columns::text AS columns, format,
  fingerprint::text AS fingerprint, staging, state, expired, snapshot`;
const WITH_QUERIES = `${FIELDS}, queries::text AS queries`;

export async function readRecords(
  session: PgSession,
  names: LedgerNames,
  run: string,
  { queries = false }: QueryOption = {},
): Promise<TableRecord[]> {
  const found = await session.query<RecordRow>(
    `SELECT ${queries ? WITH_QUERIES : FIELDS} FROM ${names.runTables} WHERE run = $1 ORDER BY position`,
    [run],
  );
  return found.map(toRecord);
}

/** Candidates for what was loaded into one of these tables: the caller compares the names of earlier snapshots, which no statement can make. */
export async function readLoaded(
  session: PgSession,
  names: LedgerNames,
  staged: readonly { readonly name: string; readonly run: string | null }[],
): Promise<TableRecord[]> {
  const found = await session.query<RecordRow>(
    `SELECT ${FIELDS} FROM ${names.runTables}
     WHERE staging = ANY ($1::text[]) OR (snapshot > 1 AND run = ANY ($2::text[])) ORDER BY run, position`,
    [staged.map(({ name }) => name), [...new Set(staged.flatMap(({ run }) => run ?? []))]],
  );
  return found.map(toRecord);
}

export async function readRecord(
  session: PgSession,
  names: LedgerNames,
  { run, table }: { run: string; table: string },
  queries: boolean,
): Promise<TableRecord | undefined> {
  const row = await firstRow<RecordRow>(
    session,
    `SELECT ${queries ? WITH_QUERIES : FIELDS} FROM ${names.runTables} WHERE run = $1 AND table_name = $2`,
    [run, table],
  );
  return row && toRecord(row);
}

function toRecord(row: RecordRow): TableRecord {
  return {
    run: row.run,
    spec: toSpec(row),
    source: row.source,
    shape: JSON.parse(row.shape) as TableRecord['shape'],
    columns: JSON.parse(row.columns) as string[],
    format: row.format,
    fingerprint: JSON.parse(row.fingerprint) as Record<string, string>,
    staging: row.staging,
    state: row.state,
    ...(row.expired && { expired: true }),
    ...(row.snapshot === null ? {} : { snapshot: row.snapshot }),
  };
}

/** That there are queries shows without them too: the list is empty instead of absent. */
function toSpec({ spec, queries }: Pick<RecordRow, 'spec' | 'queries'>): TableRecord['spec'] {
  const parsed = JSON.parse(spec) as TableRecord['spec'];
  return queries == null ? parsed : { ...parsed, queries: JSON.parse(queries) as NonNullable<typeof parsed.queries> };
}

export async function readState(
  session: PgSession,
  names: LedgerNames,
  key: { run: string; table: string },
): Promise<TableState | undefined> {
  const row = await firstRow<{ state: TableState }>(
    session,
    `SELECT state FROM ${names.runTables} WHERE run = $1 AND table_name = $2`,
    [key.run, key.table],
  );
  return row?.state;
}

/**
 * The state of one table, for whoever works on what the record describes. `lock`: FOR SHARE keeps it as it is until this transaction
 * ends, FOR UPDATE also waits for every transaction that is about to commit under it; the transaction must then be near its end. Throws
 * RunClosed when the table was started over under another snapshot: its plan, receipts and staging are others now.
 */
export async function readOwnState(
  session: PgSession,
  names: LedgerNames,
  { run, spec: { table }, snapshot }: Pick<TableRecord, 'run' | 'spec' | 'snapshot'>,
  lock: '' | 'FOR SHARE' | 'FOR UPDATE' = '',
): Promise<TableState | undefined> {
  const row = await firstRow<{ state: TableState; snapshot: number | null }>(
    session,
    `SELECT state, snapshot${lock && `, ${BRIEFLY}`} FROM ${names.runTables} WHERE run = $1 AND table_name = $2 ${lock}`,
    [run, table],
  );
  if (row && row.snapshot !== (snapshot ?? null)) throw startedOver({ run, table }, row.snapshot);
  return row?.state;
}

export async function setState(
  session: PgSession,
  names: LedgerNames,
  key: { run: string; table: string },
  state: TableState,
): Promise<void> {
  await session.query(
    `UPDATE ${names.runTables} SET state = $3, changed_at = clock_timestamp() WHERE run = $1 AND table_name = $2`,
    [key.run, key.table, state],
  );
}
