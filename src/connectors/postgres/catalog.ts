import type { PgSession } from './session.js';
import type { Relation } from './sql.js';

/** pg_class.relkind in words. */
export type RelationKind = 'table' | 'partitioned table' | 'view' | 'materialized view' | 'foreign table';

const KINDS: Readonly<Record<string, RelationKind>> = {
  r: 'table',
  p: 'partitioned table',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
};

/** One relation as the catalog has it. Estimates may be old; sizes are of now. */
export interface RelationInfo extends Relation {
  readonly oid: number;
  readonly kind: RelationKind;
  /** TABLESAMPLE and pages mean something. */
  readonly heap: boolean;
  readonly hasChildren: boolean;
  readonly rowSecurity: boolean;
  readonly mayUseSchema: boolean;
  readonly maySelect: boolean;
  /** Bytes with TOAST, without indexes; of this relation alone. */
  readonly bytes: number;
  /** Pages of the main fork, now. */
  readonly pages: number;
  /** Rows that were inserted, updated or deleted since the last ANALYZE, as far as the server counted them. */
  readonly modifiedRows: number;
  /** Rows, scaled from the last ANALYZE to the pages of now; undefined if there was none. */
  readonly estimatedRows: number | undefined;
}

interface RelationRow extends Omit<RelationInfo, 'kind' | 'estimatedRows'> {
  readonly relkind: string;
  readonly reltuples: number;
  readonly relpages: number;
}

/** Sizes are asked only for what has storage: a view has none, and a foreign table's is elsewhere. */
const RELATIONS = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS relkind,
    coalesce(am.amname = 'heap', false) AS heap, c.relhassubclass AS "hasChildren",
    row_security_active(c.oid) AS "rowSecurity",
    has_schema_privilege(n.oid, 'USAGE') AS "mayUseSchema",
    has_table_privilege(c.oid, 'SELECT') AS "maySelect",
    CASE WHEN c.relkind IN ('r', 'm') THEN pg_table_size(c.oid) ELSE 0 END::float8 AS bytes,
    CASE WHEN c.relkind IN ('r', 'm')
      THEN pg_relation_size(c.oid) / current_setting('block_size')::int4 ELSE 0
    END::float8 AS pages,
    coalesce(pg_stat_get_mod_since_analyze(c.oid), 0)::float8 AS "modifiedRows",
    c.reltuples::float8 AS reltuples, c.relpages::float8 AS relpages
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am am ON am.oid = c.relam`;

/** The relation of this name, if there is one that rows can be read from. */
export async function findRelation(session: PgSession, { schema, name }: Relation): Promise<RelationInfo | undefined> {
  const rows = await session.query<RelationRow>(`${RELATIONS} WHERE n.nspname = $1 AND c.relname = $2`, [schema, name]);
  return rows.flatMap(toInfo)[0];
}

/**
 * The relation itself, if it holds rows of its own, and everything that inherits from it or is a partition of it, at any depth:
 * what reading it means, each to be read with ONLY. In the order of their names.
 */
export async function leavesOf(session: PgSession, relation: RelationInfo): Promise<RelationInfo[]> {
  if (!relation.hasChildren && relation.kind !== 'partitioned table') return [relation];
  const rows = await session.query<RelationRow>(
    `WITH RECURSIVE tree AS (
       SELECT $1::oid AS oid
       UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
     ) ${RELATIONS} WHERE c.oid IN (SELECT oid FROM tree) AND c.relkind <> 'p' ORDER BY n.nspname, c.relname`,
    [relation.oid],
  );
  return rows.flatMap(toInfo);
}

/**
 * A digest of the leaves' names and OIDs, undefined when there is no such relation. Asks for no sizes, and answers with one row, so
 * that every attempt can afford it. Equal digests in two snapshots: the same relations hold the rows in both.
 */
export async function leavesDigest(session: PgSession, { schema, name }: Relation): Promise<string | undefined> {
  const [row] = await session.query<{ digest: string | null }>(
    `WITH RECURSIVE tree AS (
       SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
       UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
     ), leaves AS (
       SELECT c.oid, n.nspname, c.relname
       FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind <> 'p'
     ), list AS (
       SELECT coalesce(json_agg(json_build_array(oid, nspname, relname) ORDER BY oid), '[]')::text AS text FROM leaves
     )
     SELECT encode(sha256(convert_to(list.text, getdatabaseencoding()::name)), 'hex') AS digest
     FROM list WHERE EXISTS (SELECT FROM tree)`,
    [schema, name],
  );
  return row?.digest ?? undefined;
}

function toInfo({ relkind, reltuples, relpages, ...row }: RelationRow): RelationInfo | never[] {
  const kind = KINDS[relkind];
  return kind === undefined ? [] : { ...row, kind, estimatedRows: scaledRows(reltuples, relpages, row.pages) };
}

/** As the planner does: rows a page as they were at the last ANALYZE, times the pages of now. */
function scaledRows(reltuples: number, relpages: number, pages: number): number | undefined {
  if (reltuples < 0 || (relpages === 0 && pages > 0)) return undefined;
  return relpages === 0 ? 0 : Math.round((reltuples / relpages) * pages);
}

/**
 * Tables and partitioned tables whose schema and name are LIKE the pattern's, in name order: not their partitions or children,
 * which come with them, nor what belongs to the server, an extension or Longhaul.
 */
export async function relationsLike(session: PgSession, pattern: Relation, ledgerSchema: string): Promise<Relation[]> {
  return session.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname LIKE $1 AND c.relname LIKE $2 AND c.relpersistence <> 't'
       AND n.nspname <> ALL (ARRAY['information_schema', $3]) AND n.nspname NOT LIKE 'pg\\_%'
       AND c.relname NOT LIKE '\\_longhaul\\_%'
       AND has_schema_privilege(n.oid, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
       AND NOT EXISTS (
         SELECT FROM pg_depend d
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY 1, 2`,
    [pattern.schema, pattern.name, ledgerSchema],
  );
}

/** Names near which a mistyped one may be: at most 2,000 of them. */
export async function readableRelations(session: PgSession): Promise<Relation[]> {
  return session.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
     ORDER BY 1, 2 LIMIT 2000`,
  );
}
