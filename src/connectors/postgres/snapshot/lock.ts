import { LonghaulError } from '../../../core/errors.js';
import type { TableRecord } from '../../../core/model.js';
import { attempt } from '../probe.js';
import type { PgSession } from '../session.js';
import { quoteColumns, quoteRelation, requireRelation, type Relation } from '../sql.js';

/** A table of the run that LOCK TABLE refuses: locked by reading none of its rows, once the snapshot is there. */
export interface Unlocked {
  readonly record: TableRecord;
  readonly relation: Relation;
}

/**
 * Locks the tables with all their leaves, and what views read, against truncation and rewriting, for the rest of the open
 * transaction; reads nothing. Answers with those that LOCK TABLE does not take: materialized views, foreign tables, and
 * tables of which the role may read some columns only.
 */
export async function lockTables(session: PgSession, tables: readonly TableRecord[]): Promise<Unlocked[]> {
  const unlocked: Unlocked[] = [];
  for (const record of tables) {
    const relation = relationOf(record);
    if (relation === undefined) continue;
    const done = await locking(session, () => lock(session, relation));
    if (done instanceof LonghaulError) unlocked.push({ record, relation });
  }
  return unlocked;
}

/** Under the snapshot. A table that is gone or may not be read is left out: its own attempts say so. */
export async function lockByReading(session: PgSession, unlocked: readonly Unlocked[]): Promise<void> {
  for (const { record, relation } of unlocked) {
    const done = await locking(session, () => readNone(session, relation, record.columns));
    if (!(done instanceof LonghaulError)) continue;
    const fields = { connection: session.name, table: record.spec.table, error: done.message };
    session.options.log.warn(fields, 'A table is not locked for the snapshot');
  }
}

/** Locks the relation and its leaves, or takes part of its rows, without reading any. */
export function readNone(session: PgSession, relation: Relation, columns: readonly string[]): Promise<unknown[]> {
  return session.query(`SELECT ${quoteColumns(columns)} FROM ${quoteRelation(relation)} LIMIT 0`);
}

function lock(session: PgSession, relation: Relation): Promise<unknown[]> {
  return session.query(`LOCK TABLE ${quoteRelation(relation)} IN ACCESS SHARE MODE`);
}

async function locking<T>(session: PgSession, work: () => Promise<T>): Promise<T | LonghaulError> {
  try {
    return await attempt(session, work);
  } catch (error) {
    throw error instanceof LonghaulError && error.code === 'ServerFull' ? tooManyLocks(session, error) : error;
  }
}

/** Queries have none: what they read is locked by those who read it. */
function relationOf({ spec }: TableRecord): Relation | undefined {
  return spec.queries === undefined ? requireRelation(spec.from ?? spec.table) : undefined;
}

function tooManyLocks(session: PgSession, { message }: LonghaulError): LonghaulError {
  return new LonghaulError('ServerUnsuitable', `The tables could not all be locked for the snapshot. ${message}`, {
    next: `Raise max_locks_per_transaction at the server of "${session.name}": a snapshot locks every partition of every table.`,
  });
}
