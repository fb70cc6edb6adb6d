import type { TableRecord } from '../../../core/model.js';
import type { PgSession } from '../session.js';
import { quoteIdent, quoteRelation, type Relation } from '../sql.js';
import { temporaryName } from './staging-name.js';
import type { Target } from './target.js';

/** An index that staging must have before the swap, with all that makes it equal to the target's. */
export interface IndexPlan {
  /** The name that it gets in the swap; undefined: one is chosen then. */
  readonly name: string | undefined;
  /** Until then: names of indexes are unique in a schema. */
  readonly temporary: string;
  /** What a person is shown, e.g. `primary key orders_pkey`. */
  readonly label: string;
  /** The statements that make it on staging, in order. */
  readonly statements: readonly string[];
}

interface IndexRow {
  name: string;
  definition: string;
  prefix: string;
  tablespace: string | null;
  constraint: string | null;
  type: 'p' | 'u' | 'x' | null;
  timing: string;
  exclusion: boolean;
  options: string[] | null;
  clustered: boolean;
  replica: boolean;
  comment: string | null;
  constraint_comment: string | null;
}

/** Those of the existing target, or the primary key that a new one gets from the source. */
export async function indexPlans(
  session: PgSession,
  record: TableRecord,
  staging: Relation,
  target: Target | undefined,
): Promise<IndexPlan[]> {
  if (!target) return newPrimaryKey(record, staging);
  if (record.spec.mode === 'append') return [];
  const found = await session.query<IndexRow>(INDEXES, [target.oid]);
  return found.map((row) => indexPlan(row, staging));
}

/** The primary key of a table that is made after the source's: none when one of its columns isn't copied. */
export function newKeyColumns({ shape, columns }: TableRecord): readonly string[] {
  return shape.primaryKey.every((name) => columns.includes(name)) ? shape.primaryKey : [];
}

function newPrimaryKey(record: TableRecord, staging: Relation): IndexPlan[] {
  const key = newKeyColumns(record);
  if (key.length === 0) return [];
  const temporary = temporaryName(staging, 'primary key');
  const columns = key.map(quoteIdent).join(', ');
  const statement = `ALTER TABLE ${quoteRelation(staging)} ADD CONSTRAINT ${quoteIdent(temporary)} PRIMARY KEY (${columns})`;
  return [{ name: undefined, temporary, label: 'primary key', statements: [statement] }];
}

function indexPlan(row: IndexRow, staging: Relation): IndexPlan {
  const temporary = temporaryName(staging, row.name);
  const index = `${quoteIdent(staging.schema)}.${quoteIdent(temporary)}`;
  const table = quoteRelation(staging);
  const comments = [
    ...commentOn(`INDEX ${index}`, row.comment),
    ...commentOn(`CONSTRAINT ${quoteIdent(temporary)} ON ${table}`, row.constraint_comment),
  ];
  const statements = [
    `SET LOCAL default_tablespace TO ${row.tablespace === null ? `''` : quoteIdent(row.tablespace)}`,
    ...(row.exclusion ? addConstraint(row, temporary, staging) : createIndex(row, temporary, staging)),
    ...comments,
    ...(row.clustered ? [`ALTER TABLE ${table} CLUSTER ON ${quoteIdent(temporary)}`] : []),
    ...(row.replica ? [`ALTER TABLE ${table} REPLICA IDENTITY USING INDEX ${quoteIdent(temporary)}`] : []),
  ];
  return { name: row.name, temporary, label: `${KINDS[row.type ?? 'i']} ${row.name}`, statements };
}

const KINDS = { p: 'primary key', u: 'unique constraint', x: 'exclusion constraint', i: 'index' } as const;

/** The server's own definition, for another table under another name. A constraint then takes the index over, and its name. */
function createIndex(row: IndexRow, temporary: string, staging: Relation): string[] {
  if (!row.definition.startsWith(row.prefix)) throw new Error(`index ${row.name} has an unexpected definition`);
  const unique = row.definition.startsWith('CREATE UNIQUE') ? 'UNIQUE ' : '';
  const rest = row.definition.slice(row.prefix.length);
  const create = `CREATE ${unique}INDEX ${quoteIdent(temporary)} ON ${quoteRelation(staging)} USING ${rest}`;
  if (row.type === null) return [create];
  const kind = row.type === 'p' ? 'PRIMARY KEY' : 'UNIQUE';
  const named = quoteIdent(temporary);
  const add = `ALTER TABLE ${quoteRelation(staging)} ADD CONSTRAINT ${named} ${kind} USING INDEX ${named} ${row.timing}`;
  return [create, add];
}

/** Exclusion constraints, and keys WITHOUT OVERLAPS, can't be made from an index. */
function addConstraint(row: IndexRow, temporary: string, staging: Relation): string[] {
  const add = `ALTER TABLE ${quoteRelation(staging)} ADD CONSTRAINT ${quoteIdent(temporary)} ${row.constraint!}`;
  const options = row.options?.join(', ');
  const index = `${quoteIdent(staging.schema)}.${quoteIdent(temporary)}`;
  return options === undefined ? [add] : [add, `ALTER INDEX ${index} SET (${options})`];
}

function commentOn(object: string, literal: string | null): string[] {
  return literal === null ? [] : [`COMMENT ON ${object} IS ${literal}`];
}

/** The primary key first. Comments come quoted. */
const INDEXES = `
  SELECT i.relname::text AS name, pg_get_indexdef(i.oid) AS definition,
         format('CREATE %sINDEX %I ON %I.%I USING ', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END,
                i.relname, n.nspname, t.relname) AS prefix,
         s.spcname::text AS tablespace, pg_get_constraintdef(c.oid) AS "constraint", c.contype::text AS type,
         CASE WHEN c.condeferrable THEN 'DEFERRABLE' ELSE '' END
           || CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END AS timing,
         x.indisexclusion AS exclusion, i.reloptions AS options, x.indisclustered AS clustered, x.indisreplident AS replica,
         quote_literal(obj_description(i.oid, 'pg_class')) AS comment,
         quote_literal(obj_description(c.oid, 'pg_constraint')) AS constraint_comment
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
  LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.conrelid = t.oid AND c.contype IN ('p', 'u', 'x')
  WHERE x.indrelid = $1::oid
  ORDER BY x.indisprimary DESC, i.relname`;
