import type { TableRecord } from '../../../core/model.js';
import { LonghaulError } from '../../../core/errors.js';
import { serverFieldsOf, sqlstateOf } from '../errors.js';
import type { PgSession } from '../session.js';
import { quoteIdent, quoteRelation, requireRelation, type Relation } from '../sql.js';
import { newKeyColumns } from './indexes.js';
import type { LedgerNames } from './ledger-schema.js';
import { readPartition } from './plans.js';
import { firstRow, transaction } from './queries.js';
import { partitionsOf } from './receipts.js';

/** How long the rows of one key are looked for: all rows of a table are read once. */
const SEARCH = '120s';

/** A unique key that two rows have. */
export interface Duplicate {
  /** The index whose key it is; undefined: the primary key that a new target would get. */
  readonly index: Relation | undefined;
  /** Where rows that are committed lie. */
  readonly rows: Relation;
}

/** Who gave the rows of one key. */
export interface Culprits {
  /** The key's columns, as SQL names them. */
  readonly key: string;
  /** Labels of partitions of this run. */
  readonly labels: readonly string[];
  readonly rows: number;
  /** Of the rows, those that no partition of this run is known to have given. */
  readonly others: number;
}

/** Whether the server refused a row because another has its key. */
export function isDuplicate(error: unknown): boolean {
  const fields = serverFieldsOf(error);
  return fields !== undefined && sqlstateOf(fields) === '23505';
}

/**
 * Which partitions gave the rows whose key is there twice: the server's error tells the key, and a row's xmin the transaction that
 * wrote it, as the receipts have them. Undefined where it can't be told, or not in SEARCH. In no transaction; nothing is thrown that
 * would hide the error itself.
 */
export async function culpritsOf(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  error: unknown,
  duplicate: Duplicate,
): Promise<Culprits | undefined> {
  const values = valuesIn(serverFieldsOf(error)?.detail ?? '');
  if (values === undefined) return undefined;
  try {
    return await transaction(session, async () => {
      await session.query(`SET LOCAL statement_timeout TO '${SEARCH}'`);
      const key = await keyOf(session, record, duplicate.index);
      return key && (await search(session, names, record, { ...key, values, ...duplicate }));
    });
  } catch (cause) {
    if (!(cause instanceof LonghaulError)) throw cause;
    session.options.log.warn({ connection: session.name, reason: cause.message }, 'Rows of one key were not found');
    return undefined;
  }
}

interface Key {
  /** One for each of its columns. */
  readonly expressions: readonly string[];
  /** Of a partial index. */
  readonly predicate: string | null;
}

async function keyOf(session: PgSession, record: TableRecord, index: Relation | undefined): Promise<Key | undefined> {
  if (!index) return { expressions: newKeyColumns(record).map(quoteIdent), predicate: null };
  return firstRow<{ expressions: string[]; predicate: string | null }>(
    session,
    `SELECT array_agg(pg_get_indexdef(x.indexrelid, k, false) ORDER BY k) AS expressions,
            pg_get_expr(x.indpred, x.indrelid) AS predicate
     FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
     CROSS JOIN generate_series(1, x.indnkeyatts) AS k
     WHERE n.nspname = $1 AND i.relname = $2 GROUP BY x.indexrelid, x.indpred, x.indrelid`,
    [index.schema, index.name],
  );
}

/** `Key (id, line)=(7, 1) is duplicated.`: the values as the server prints them, in whatever language the rest is. */
function valuesIn(detail: string): string | undefined {
  const [from, to] = [detail.indexOf(')=('), detail.lastIndexOf(')')];
  return from >= 0 && to > from + 2 ? detail.slice(from + 3, to) : undefined;
}

/** Without quotes, where the server writes none. */
function bareName(name: string): string {
  return /^"[a-z_][a-z0-9_$]*"$/.test(name) ? name.slice(1, -1) : name;
}

async function search(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  { expressions, predicate, values, rows }: Key & Duplicate & { readonly values: string },
): Promise<Culprits> {
  const printed = expressions.map((each) => `CASE WHEN (${each}) IS NULL THEN 'null' ELSE concat(${each}) END`);
  const found = await session.query<{ xid: string; rows: string }>(
    `SELECT xmin::text AS xid, count(*) AS rows FROM ${quoteRelation(rows)}
     WHERE ${printed.join(` || ', ' || `)} = $1${predicate === null ? '' : ` AND (${predicate})`} GROUP BY 1`,
    [values],
  );
  const { run, spec } = record;
  const given = await partitionsOf(
    session,
    names,
    { run, table: spec.table },
    found.map(({ xid }) => xid),
  );
  const labels: string[] = [];
  for (const ordinal of new Set(given.values()))
    labels.push((await readPartition(session, names, { run, table: spec.table }, ordinal)).label);
  const count = (those: typeof found) => those.reduce((sum, each) => sum + Number(each.rows), 0);
  return {
    key: `(${expressions.map(bareName).join(', ')})`,
    labels,
    rows: count(found),
    others: count(found.filter(({ xid }) => !given.has(xid))),
  };
}

/**
 * `queries q017 and q018 both have a row of it`; undefined where too little is known. `before`: a row of it was in the target when these
 * were read.
 */
export function culpritsText(
  { spec }: TableRecord,
  { labels, rows }: Pick<Culprits, 'labels' | 'rows'>,
  before: boolean,
): string | undefined {
  const [one, several] = spec.queries ? ['query', 'queries'] : ['partition', 'partitions'];
  const [first, second] = labels;
  if (first === undefined) return undefined;
  if (second !== undefined) {
    const more = labels.length > 2 ? `, and ${labels.length - 2} more have one` : '';
    return `${several} ${first} and ${second} both have a row of it${more}`;
  }
  if (before) return `${one} ${first} has a row of it, and one was there before`;
  return rows > 1 ? `${one} ${first} has more than one row of it` : undefined;
}

export function notUnique(
  record: TableRecord,
  { key }: Pick<Culprits, 'key'>,
  what: string,
  { left, next }: { readonly left: string; readonly next: string },
): LonghaulError {
  const message = `The key ${key} of ${record.spec.to} is not unique: ${what}. ${left}`;
  return new LonghaulError('DataRejected', message, { next });
}

/** Of a partition whose rows met the target's own index, with the rows that are there. */
export function refusedByKey(record: TableRecord, label: string, { key, labels, others }: Culprits): LonghaulError {
  const known = { labels: [...labels.slice(0, 1), label], rows: 2 };
  return notUnique(record, { key }, culpritsText(record, known, labels.length === 0 && others > 0)!, {
    left: `Nothing of ${record.spec.queries ? 'query' : 'partition'} ${label} was committed.`,
    next: 'Mend what overlaps and retry the partition, or skip it.',
  });
}

/** What a person does about rows of one key: the queries overlap, or without a snapshot a row was moved between two partitions. */
export function mendText({ spec }: TableRecord): string {
  return spec.queries
    ? 'Mend the queries so that each row is in one of them, then start the job anew.'
    : 'Without a snapshot, a row whose key is changed while it is copied may be there twice: start the job anew, with consistency: snapshot.';
}

export function targetIndex({ spec }: TableRecord, name: string): Relation {
  return { schema: requireRelation(spec.to).schema, name };
}
