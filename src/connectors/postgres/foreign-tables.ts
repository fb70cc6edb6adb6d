import type { TableSpec } from '../../core/model.js';
import { warning } from '../findings.js';
import type { Finding } from '../types.js';
import type { PgSession } from './session.js';
import { FIRST_USER_OID } from './snapshot/rewritten.js';
import { formatRelation, quoteRelation, requireRelation, type Relation } from './sql.js';

/** Foreign tables that are shown. */
const SHOWN = 5;

/**
 * From what this transaction has locked, which is what a query that it described names, and from one relation by its name: down through
 * partitions, children and views to the foreign tables. From catalogs alone, since planning would ask the other server.
 */
const FOREIGN = `
  WITH RECURSIVE parts AS (
    SELECT inhparent AS whole, inhrelid AS part FROM pg_inherits
    UNION ALL
    SELECT r.ev_class, d.refobjid FROM pg_rewrite r
    JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    WHERE r.ev_type = '1'
  ), tree AS (
    SELECT relation AS oid FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= ${FIRST_USER_OID}
    UNION SELECT to_regclass($1)::oid
    UNION SELECT parts.part FROM tree JOIN parts ON parts.whole = tree.oid
  )
  SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid IN (SELECT oid FROM tree) AND c.relkind = 'f' ORDER BY 1, 2`;

/**
 * The warning that foreign tables among what a described table reads are not under the job's snapshot. In the transaction that
 * described it.
 */
export async function foreignFindings(session: PgSession, spec: TableSpec): Promise<Finding[]> {
  if (spec.consistency !== 'snapshot') return [];
  const relation = spec.queries === undefined ? quoteRelation(requireRelation(spec.from ?? spec.table)) : null;
  const found = (await session.query<Relation>(FOREIGN, [relation])).map(formatRelation);
  if (found.length === 0) return [];
  const more = found.length > SHOWN ? ` and ${found.length - SHOWN} more` : '';
  return [
    warning(
      spec.queries === undefined ? 'from' : 'queries',
      `the snapshot does not cover foreign tables, whose rows are on another server: ${found.slice(0, SHOWN).join(', ')}${more}. Each partition reads them as they are at that moment`,
      'keep them unchanged while the job runs, or leave them out',
    ),
  ];
}
