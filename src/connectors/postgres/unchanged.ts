import { LonghaulError } from '../../core/errors.js';
import type { ColumnShape, TableRecord } from '../../core/model.js';
import { findRelation, leavesDigest } from './catalog.js';
import type { PgSession } from './session.js';
import { describeColumns } from './shape.js';
import { formatRelation, requireRelation, type Relation } from './sql.js';

/**
 * Compares the whole table with what it was when the run began, in a transaction of the source. Throws SourceChanged. Of queries
 * there is nothing to compare: each is described when it is read.
 */
export async function verifyTable(session: PgSession, record: TableRecord): Promise<void> {
  if (record.spec.queries !== undefined) return;
  const relation = fromOf(record);
  const found = await findRelation(session, relation);
  if (found === undefined) throw sourceChanged(record, `${formatRelation(relation)} is gone`);
  await compareLeaves(session, record);
  compareShape(record, await describeColumns(session, found), formatRelation(relation));
}

/**
 * Every leaf is read by its own name, so one that came after the plan would be read by nobody. The digest is of the same snapshot as
 * the rows that are read after it.
 */
export async function compareLeaves(session: PgSession, record: TableRecord): Promise<void> {
  const planned = record.shape.leaves;
  if (planned === undefined || planned === (await leavesDigest(session, fromOf(record)))) return;
  const name = formatRelation(fromOf(record));
  throw sourceChanged(
    record,
    `partitions or children of ${name} were attached, detached or renamed, or it was created anew`,
  );
}

function fromOf({ spec }: TableRecord): Relation {
  return requireRelation(spec.from ?? spec.table);
}

/**
 * What is copied must have its types. What is not may be the key by whose ranges the table is cut: a column that allows NULL now, or
 * sorts in another order, puts rows into no range or into two.
 */
export function compareShape(record: TableRecord, columns: readonly ColumnShape[], what: string): void {
  const now = new Map(columns.map((column) => [column.name, column]));
  for (const planned of record.shape.columns) {
    const found = now.get(planned.name);
    const copied = record.columns.includes(planned.name);
    const difference = (copied && differentType(planned, found)) || differentRange(planned, found);
    if (difference) throw sourceChanged(record, `column "${planned.name}" of ${what} ${difference}`);
  }
}

function differentType(planned: ColumnShape, found: ColumnShape | undefined): string | undefined {
  if (found === undefined) return 'is gone';
  const same = planned.type === found.type && planned.definition === found.definition && !found.generated;
  return same ? undefined : `has become ${found.type}${found.generated ? ', generated' : ''}`;
}

function differentRange(planned: ColumnShape, found: ColumnShape | undefined): string | undefined {
  if (found === undefined) return undefined;
  if (planned.notNull && !found.notNull) return 'allows NULL now';
  return planned.collation === found.collation ? undefined : 'has another collation';
}

export function sourceChanged(record: TableRecord, what: string): LonghaulError {
  const message = `The source of ${record.spec.table} changed since it was planned: ${what}.`;
  return new LonghaulError('SourceChanged', message, {
    next: 'Start the job again, so that it is planned anew.',
  });
}
