import type { PartitionHint } from '../../core/model.js';
import type { PgSession } from './session.js';
import { notNullOf } from './shape.js';

/** What is known of a column by whose ranges a table is cut. */
export interface KeyColumn {
  readonly name: string;
  readonly notNull: boolean;
  /** The type of its values below domains, as a cast names it, without modifiers. */
  readonly type: string;
  /** `int8`, `text` …: pg_type.typname below domains. */
  readonly typeName: string;
  /** For COLLATE; undefined for types without one. */
  readonly collation: string | undefined;
  /** Where its comparison operators are: search_path is empty, and citext's are not in pg_catalog. */
  readonly operatorSchema: string;
}

/** One or more columns compared as one, the first of them first. */
export interface TableKey {
  readonly columns: readonly KeyColumn[];
  /** Some valid index begins with the first column, so that a range need not read the whole table. */
  readonly indexed: boolean;
  /** The first column is the primary key's first. */
  readonly inPrimaryKey: boolean;
}

/** Types whose ranges are chosen without being asked to. */
const CHOSEN = new Set([
  ...['int2', 'int4', 'int8', 'numeric', 'uuid', 'date', 'timestamp', 'timestamptz'],
  ...['text', 'varchar', 'bpchar', 'citext'],
]);

const INTEGERS = new Set(['int2', 'int4', 'int8']);

/** Bounds between two known values can be computed. */
export function isInteger(columns: readonly KeyColumn[]): boolean {
  return columns.length === 1 && INTEGERS.has(columns[0]!.typeName);
}

/** Every row's place in a heap as if it were a column: `(page,item)`. */
export const CTID: KeyColumn = {
  name: 'ctid',
  notNull: true,
  type: 'tid',
  typeName: 'tid',
  collation: undefined,
  operatorSchema: 'pg_catalog',
};

const COLUMNS = `
  WITH RECURSIVE bases AS (
    SELECT a.attnum, a.atttypid AS oid FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT b.attnum, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
  )
  SELECT a.attname AS name, ${notNullOf('a')} AS "notNull",
    format_type(t.oid, -1) AS type, t.typname AS "typeName",
    CASE WHEN a.attcollation <> 0 THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END AS collation,
    coalesce((SELECT n.nspname FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
      WHERE o.oprname = '<' AND o.oprleft = t.oid AND o.oprright = t.oid LIMIT 1), 'pg_catalog') AS "operatorSchema"
  FROM pg_attribute a
  JOIN bases b ON b.attnum = a.attnum
  JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
  WHERE a.attrelid = $1`;

/** Ordered indexes over every row, as they are preferred for a key; an expression's place in `columns` is null. */
const INDEXES = `
  SELECT i.indisprimary AS "primary", i.indisunique AND i.indimmediate AS "unique", array_agg(a.attname::text ORDER BY k.place) AS columns
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am am ON am.oid = c.relam
  CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
  WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND am.amname = 'btree' AND k.place <= i.indnkeyatts
  GROUP BY i.indexrelid, i.indisprimary, i.indisunique, i.indimmediate, i.indnkeyatts
  ORDER BY i.indisprimary DESC, i.indnkeyatts, min(k.attnum), i.indexrelid`;

interface ColumnRow extends Omit<KeyColumn, 'collation'> {
  readonly collation: string | null;
}

interface IndexRow {
  readonly primary: boolean;
  readonly unique: boolean;
  readonly columns: readonly (string | null)[];
}

/**
 * The named columns, in their order. With `auto` the columns of the best unique key whose types have a useful order: the primary key, else
 * one that is NOT NULL, else one with room for NULLs; undefined if there is none. Undefined too when a named column doesn't exist.
 */
export async function findKey(
  session: PgSession,
  relation: { readonly oid: number },
  by: PartitionHint['by'],
): Promise<TableKey | undefined> {
  const rows = await session.query<ColumnRow>(COLUMNS, [relation.oid]);
  const known = new Map(rows.map((row) => [row.name, { ...row, collation: row.collation ?? undefined }]));
  const indexes = await session.query<IndexRow>(INDEXES, [relation.oid]);
  const columns = typeof by === 'string' ? chooseColumns(indexes, known) : namedColumns(by, known);
  if (columns === undefined) return undefined;
  const leading = indexes.filter((index) => index.columns[0] === columns[0]!.name);
  return { columns, indexed: leading.length > 0, inPrimaryKey: leading.some(({ primary }) => primary) };
}

function namedColumns(names: readonly string[], known: ReadonlyMap<string, KeyColumn>): KeyColumn[] | undefined {
  const columns = names.flatMap((name) => known.get(name) ?? []);
  return columns.length === names.length ? columns : undefined;
}

function chooseColumns(
  indexes: readonly IndexRow[],
  known: ReadonlyMap<string, KeyColumn>,
): readonly KeyColumn[] | undefined {
  const keys = indexes.flatMap((index) => {
    const columns = index.unique ? orderedPrefix(index, known) : [];
    return columns.length > 0 ? [columns] : [];
  });
  return keys.find((columns) => columns.every(({ notNull }) => notNull)) ?? keys[0];
}

/** The first columns of an index, as far as they are columns of types that are chosen without being asked to. */
function orderedPrefix({ columns }: IndexRow, known: ReadonlyMap<string, KeyColumn>): KeyColumn[] {
  const found = columns.map((name) => (name === null ? undefined : known.get(name)));
  const end = found.findIndex((column) => column === undefined || !CHOSEN.has(column.typeName));
  return (end < 0 ? found : found.slice(0, end)) as KeyColumn[];
}
