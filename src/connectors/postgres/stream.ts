import { LonghaulError } from '../../core/errors.js';
import type { Partition, TableRecord } from '../../core/model.js';
import type { ByteStream } from '../types.js';
import { compareLeaves, compareShape, sourceChanged } from './unchanged.js';
import { findRelation } from './catalog.js';
import type { PgSession } from './session.js';
import { beginUnder } from './snapshot/holders.js';
import { readNone } from './snapshot/lock.js';
import { refuseRewritten } from './snapshot/rewritten.js';
import { asSubquery, describeColumns, describeQuery } from './shape.js';
import { formatRelation, quoteColumns, quoteRelation, requireRelation, type Relation } from './sql.js';
import { CopyOut } from './wire/index.js';

/** A partition whose transaction is open, as texts of SQL. They hold key values: they are in no error and no log. */
export interface OpenPartition {
  /** What COPY copies. */
  readonly copied: string;
  /** What follows FROM in a statement over the same rows, with its WHERE. */
  readonly from: string;
}

/**
 * Begins the transaction that reads one partition, and that lasts until the session is disposed or rolled back. The relation is
 * locked against changes of its shape before the transaction's snapshot is taken, so that what is compared is what is read.
 * Throws SourceChanged.
 */
export function openPartition(session: PgSession, record: TableRecord, partition: Partition): Promise<OpenPartition> {
  return partition.relation === undefined
    ? queryRows(session, record, partition)
    : relationRows(session, record, partition, requireRelation(partition.relation));
}

/** An open partition as a stream. */
export function openStream(session: PgSession, record: TableRecord, { copied }: OpenPartition): ByteStream {
  const format = byteFormat(record.format);
  return new CopyOut(session.client, {
    sql: `COPY ${copied} TO STDOUT (FORMAT ${format === 'postgres.copy.binary' ? 'binary' : 'text'})`,
    format,
    signal: session.options.signal,
    mapError: (error) => session.mapped(error),
  });
}

function byteFormat(format: string): ByteStream['format'] {
  if (format === 'postgres.copy.binary' || format === 'postgres.copy.text') return format;
  throw new LonghaulError('SourceChanged', `A Postgres source can't send "${format}".`);
}

async function queryRows(
  session: PgSession,
  record: TableRecord,
  { predicate, label }: Partition,
): Promise<OpenPartition> {
  await beginReading(session, record, () => session.begin('source'));
  const columns = await describeQuery(session, predicate);
  if (record.snapshot !== undefined) await refuseRewritten(session, record);
  compareShape(record, columns, `query ${label}`);
  const from = `(${asSubquery(predicate)}) AS query`;
  return { from, copied: `(SELECT ${quoteColumns(record.columns)} FROM ${from})` };
}

async function relationRows(
  session: PgSession,
  record: TableRecord,
  { predicate }: Partition,
  relation: Relation,
): Promise<OpenPartition> {
  await beginReading(session, record, () => beginLocked(session, relation));
  const found = await findRelation(session, relation);
  if (found === undefined) throw sourceChanged(record, `${formatRelation(relation)} is gone`);
  if (record.snapshot !== undefined) {
    if (found.kind === 'materialized view') await readNone(session, relation, record.columns);
    await refuseRewritten(session, record, relation);
  }
  await compareLeaves(session, record);
  compareShape(record, await describeColumns(session, found), formatRelation(relation));
  const [name, columns] = [quoteRelation(relation), quoteColumns(record.columns)];
  // COPY of a table's name reads that table alone, and saves the executor's work; it takes nothing but tables.
  const whole = predicate === 'TRUE' && found.kind === 'table';
  const from = `ONLY ${name} WHERE ${predicate}`;
  return { from, copied: whole ? `${name} (${columns})` : `(SELECT ${columns} FROM ${from})` };
}

/** Of the record's snapshot, if it is read under one; else of this moment. `begin` reads nothing. */
export async function beginReading(session: PgSession, record: TableRecord, begin: () => Promise<void>): Promise<void> {
  const { run, snapshot } = record;
  await (snapshot === undefined ? begin() : beginUnder(session, { run, snapshot }, begin));
}

/** LOCK takes no snapshot, so that the transaction's comes after it. It refuses what isn't a table or a view: that is read without. */
async function beginLocked(session: PgSession, relation: Relation): Promise<void> {
  await session.begin('source');
  try {
    await session.query(`LOCK TABLE ONLY ${quoteRelation(relation)} IN ACCESS SHARE MODE`);
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.code !== 'StatementInvalid') throw error;
    await session.rollback();
    await session.begin('source');
  }
}
