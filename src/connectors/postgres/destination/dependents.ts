import type { PgSession } from '../session.js';
import type { Target } from './target.js';

/**
 * What happens to everything that can belong to a table or hang on it, when another table takes its name:
 *
 * | kept, and where                                                       | refused                                           |
 * |-----------------------------------------------------------------------|---------------------------------------------------|
 * | columns: type, NOT NULL, default, generated, identity, storage,       | views, materialized views and rules               |
 * |   compression, comment, statistics target, options      (prepare)     | foreign keys, from it and to it                   |
 * | check constraints, with names and comments              (prepare)     | partitions, inheritance, typed tables             |
 * | storage options, tablespace, access method              (prepare)     | functions, columns, types and policies that use it|
 * | indexes, primary key, unique and exclusion constraints, their names,  | triggers, row security and its policies           |
 * |   comments, tablespaces, CLUSTER mark                   (build)       | publications and subscriptions that list it       |
 * | replica identity                                        (build, swap) | extended statistics                               |
 * | owner, grants on table and columns, table comment       (swap)        | security labels, extension membership             |
 * | sequences of serial columns (the same ones) and of identity columns   | users of an identity column's sequence            |
 * |   (name, options, grants, comment), advanced past the data (swap)     | grants made by others than the owner              |
 * |                                                                       | unlogged tables, constraints that are NOT VALID,  |
 * |                                                                       |   invalid indexes, statistics targets of indexes  |
 *
 * The left column is what `OWN` names; everything else that pg_depend has on the table is refused, known or not, so that
 * nothing is lost in silence. What pg_depend doesn't show stands in `TRAITS`.
 */
export async function dependentsOf(session: PgSession, target: Target): Promise<string[]> {
  const found = await session.query<{ what: string }>(DEPENDENTS, [target.oid]);
  const traits = await session.query<{ what: string }>(TRAITS, [target.oid]);
  return [...traits, ...found].map(({ what }) => what);
}

/** Objects that come and go with the table and that staging has the like of. */
const OWN = `
  SELECT 'pg_class'::regclass AS classid, t.oid AS objid FROM t
  UNION ALL SELECT 'pg_class'::regclass, t.reltoastrelid FROM t
  UNION ALL SELECT 'pg_type'::regclass, t.reltype FROM t
  UNION ALL SELECT 'pg_type'::regclass, y.typarray FROM t JOIN pg_type y ON y.oid = t.reltype
  UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM t JOIN pg_index i ON i.indrelid IN (t.oid, t.reltoastrelid)
  UNION ALL SELECT 'pg_attrdef'::regclass, d.oid FROM t JOIN pg_attrdef d ON d.adrelid = t.oid
  UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM t JOIN pg_constraint c ON c.conrelid = t.oid
    WHERE c.contype IN ('c', 'n', 'p', 'u', 'x')
  UNION ALL SELECT 'pg_class'::regclass, d.objid FROM t
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE d.deptype IN ('a', 'i')`;

/** A view depends on a table through its rule; people know it by the view's name. The triggers of foreign keys are no one's own. */
const DEPENDENTS = `
  WITH t AS (SELECT * FROM pg_class WHERE oid = $1::oid),
  own AS (${OWN}),
  serial AS (SELECT d.objid FROM t
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE d.deptype = 'a')
  SELECT DISTINCT CASE WHEN r.ev_class IS NULL OR r.ev_class = t.oid
                       THEN pg_describe_object(d.classid, d.objid, 0)
                       ELSE pg_describe_object('pg_class'::regclass, r.ev_class, 0) END
                  || CASE WHEN d.objsubid = 0 THEN '' ELSE coalesce(' (column ' || a.attname || ')', '') END AS what
  FROM t, pg_depend d
  JOIN own ON own.classid = d.refclassid AND own.objid = d.refobjid
  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
  LEFT JOIN pg_attribute a ON d.classid = 'pg_class'::regclass AND a.attrelid = d.objid AND a.attnum = d.objsubid
  WHERE NOT EXISTS (SELECT FROM own o WHERE o.classid = d.classid AND o.objid = d.objid)
    AND NOT (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT objid FROM serial))
    AND g.tgisinternal IS NOT TRUE
  ORDER BY 1`;

/** What a table is or has that pg_depend doesn't tell, or tells only from its own side. */
const TRAITS = `
  WITH t AS (SELECT * FROM pg_class WHERE oid = $1::oid),
  owned AS (SELECT oid, relname, relacl, relowner FROM t UNION ALL
    SELECT s.oid, s.relname, s.relacl, s.relowner FROM t
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE d.deptype = 'i')
  SELECT 'it is unlogged' AS what FROM t WHERE relpersistence <> 'p'
  UNION ALL SELECT 'row security' FROM t WHERE relrowsecurity OR relforcerowsecurity
  UNION ALL SELECT 'it is a typed table' FROM t WHERE reloftype <> 0
  UNION ALL SELECT CASE WHEN t.relispartition THEN 'it is a partition of ' ELSE 'it inherits from ' END || i.inhparent::regclass
    FROM t JOIN pg_inherits i ON i.inhrelid = t.oid
  UNION ALL SELECT 'it belongs to ' || pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM t JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e'
  UNION ALL SELECT 'index ' || i.indexrelid::regclass || ' depends on ' || pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM t JOIN pg_index i ON i.indrelid = t.oid
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.deptype IN ('e', 'x')
  UNION ALL SELECT 'a security label' FROM t
    WHERE EXISTS (SELECT FROM pg_seclabel l WHERE l.classoid = 'pg_class'::regclass AND l.objoid = t.oid)
  UNION ALL SELECT 'a subscription writes to it' FROM t JOIN pg_subscription_rel r ON r.srrelid = t.oid
  UNION ALL SELECT 'constraint ' || c.conname || ' is not valid' FROM t JOIN pg_constraint c ON c.conrelid = t.oid
    WHERE c.contype IN ('c', 'n') AND NOT c.convalidated
  UNION ALL SELECT 'index ' || i.indexrelid::regclass || ' is not valid' FROM t JOIN pg_index i ON i.indrelid = t.oid
    WHERE NOT (i.indisvalid AND i.indisready AND i.indislive)
  UNION ALL SELECT DISTINCT 'index ' || i.indexrelid::regclass || ' has a statistics target' FROM t
    JOIN pg_index i ON i.indrelid = t.oid
    JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attstattarget >= 0
  UNION ALL SELECT DISTINCT 'grants on ' || o.relname || ' made by ' || pg_get_userbyid(x.grantor) FROM owned o,
    LATERAL (SELECT grantor FROM aclexplode(o.relacl) UNION
             SELECT y.grantor FROM pg_attribute a, aclexplode(a.attacl) y WHERE a.attrelid = o.oid) x
    WHERE x.grantor <> o.relowner`;
