import type { PartitionHint } from '../../core/model.js';
import type { PgSession } from './session.js';
import { notNullOf } from './shape.js';

/** What is known of a column by whose ranges a table is cut. */
export interface PartitionKey {
  readonly column: string;
  readonly notNull: boolean;
  /** The type of its values below domains, as a cast names it, without modifiers. */
  readonly type: string;
  /** `int8`, `text` …: pg_type.typname below domains. */
  readonly typeName: string;
  /** For COLLATE; undefined for types without one. */
  readonly collation: string | undefined;
  /** Where its comparison operators are: search_path is empty, and citext's are not in pg_catalog. */
  readonly operatorSchema: string;
  /** Some valid index begins with it, so that a range need not read the whole table. */
  readonly indexed: boolean;
  readonly inPrimaryKey: boolean;
}

/** Types whose ranges are chosen without being asked to. */
const CHOSEN = new Set([
  ...['int2', 'int4', 'int8', 'numeric', 'uuid', 'date', 'timestamp', 'timestamptz'],
  ...['text', 'varchar', 'bpchar', 'citext'],
]);

const INTEGERS = new Set(['int2', 'int4', 'int8']);

/** Bounds between two known values can be computed. */
export function isInteger({ typeName }: PartitionKey): boolean {
  return INTEGERS.has(typeName);
}

/**
 * Columns that begin a unique index, or the one named, in the order in which they are preferred: the primary key's first column, then
 * those of the unique indexes with the fewest columns.
 */
const KEYS = `
  WITH RECURSIVE bases AS (
    SELECT a.attnum, a.atttypid AS oid FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT b.attnum, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
  ), firsts AS (
    SELECT i.indkey[0] AS attnum, bool_or(i.indisprimary) AS is_primary,
      min(i.indnkeyatts) FILTER (WHERE i.indisunique AND i.indimmediate) AS width
    FROM pg_index i WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL GROUP BY 1
  )
  SELECT a.attname AS "column", ${notNullOf('a')} AS "notNull",
    format_type(t.oid, -1) AS type, t.typname AS "typeName",
    CASE WHEN a.attcollation <> 0 THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END AS collation,
    coalesce((SELECT n.nspname FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
      WHERE o.oprname = '<' AND o.oprleft = t.oid AND o.oprright = t.oid LIMIT 1), 'pg_catalog') AS "operatorSchema",
    f.attnum IS NOT NULL AS indexed, coalesce(f.is_primary, false) AS "inPrimaryKey"
  FROM pg_attribute a
  JOIN bases b ON b.attnum = a.attnum
  JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
  LEFT JOIN firsts f ON f.attnum = a.attnum
  WHERE a.attrelid = $1 AND a.attnum > 0 AND ($2::text IS NULL AND f.width IS NOT NULL OR a.attname = $2)
  ORDER BY coalesce(f.is_primary, false) DESC, f.width, a.attnum`;

interface KeyRow extends Omit<PartitionKey, 'collation'> {
  readonly collation: string | null;
}

/** The named column; with `auto`, the best one if there is any: the primary key's first, else one that is NOT NULL and unique. */
export async function findKey(
  session: PgSession,
  relation: { readonly oid: number },
  by: PartitionHint['by'],
): Promise<PartitionKey | undefined> {
  const auto = typeof by === 'string';
  const rows = await session.query<KeyRow>(KEYS, [relation.oid, auto ? null : by[0]]);
  const keys = rows.map((row) => ({ ...row, collation: row.collation ?? undefined }));
  return auto ? keys.find(({ typeName, notNull }) => CHOSEN.has(typeName) && notNull) : keys[0];
}
