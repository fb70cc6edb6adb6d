import type { PgSession } from '../session.js';
import { quoteIdent } from '../sql.js';

interface Grant {
  privilege: string;
  /** Quoted, or PUBLIC. */
  grantee: string;
  grantable: boolean;
  column: string | null;
}

/**
 * Gives one relation exactly the grants of another of the same owner, columns included; what default privileges had granted on
 * it goes. `object` is how a GRANT names it, e.g. `TABLE "public"."orders"`.
 */
export async function copyGrants(session: PgSession, from: number, to: number, object: string): Promise<void> {
  const [wanted, present] = [await grantsOf(session, from), await grantsOf(session, to)];
  const same = JSON.stringify(wanted) === JSON.stringify(present);
  if (same) return;
  for (const grantee of new Set(present.map((grant) => grant.grantee))) {
    await session.query(`REVOKE ALL ON ${object} FROM ${grantee}`);
  }
  for (const { privilege, grantee, grantable, column } of wanted) {
    const what = column === null ? privilege : `${privilege} (${quoteIdent(column)})`;
    await session.query(`GRANT ${what} ON ${object} TO ${grantee}${grantable ? ' WITH GRANT OPTION' : ''}`);
  }
}

/** No list at all means the default one, which acldefault spells out. */
function grantsOf(session: PgSession, oid: number): Promise<Grant[]> {
  return session.query<Grant>(
    `SELECT x.privilege_type AS privilege, x.is_grantable AS grantable, NULL AS "column", ${GRANTEE}
     FROM pg_class c,
       aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) x
     WHERE c.oid = $1
     UNION ALL
     SELECT x.privilege_type, x.is_grantable, a.attname::text, ${GRANTEE}
     FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = $1 AND NOT a.attisdropped
     ORDER BY 3 NULLS FIRST, grantee, privilege`,
    [oid],
  );
}

const GRANTEE = `CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee`;
