import type { Mode } from '../../../core/model.js';
import { problem, warning } from '../../findings.js';
import type { Finding } from '../../types.js';
import type { PgSession } from '../session.js';
import { quoteIdent, quoteRelation, type Relation } from '../sql.js';
import { firstRow } from './queries.js';
import type { Target } from './target.js';

/** Staging is made in the target's schema, which must be there: creating it is left to who owns the database. */
export async function schemaFindings(session: PgSession, { schema }: Relation): Promise<Finding[]> {
  const row = await firstRow<{ role: string; present: boolean; usage: boolean | null; create: boolean | null }>(
    session,
    `SELECT current_user::text AS role, n.oid IS NOT NULL AS present,
            has_schema_privilege(n.oid, 'USAGE') AS usage, has_schema_privilege(n.oid, 'CREATE') AS create
     FROM (SELECT) AS one LEFT JOIN pg_namespace n ON n.nspname = $1`,
    [schema],
  );
  const { role, present, usage, create } = row!;
  if (!present) {
    const fix = `CREATE SCHEMA ${quoteIdent(schema)} AUTHORIZATION ${quoteIdent(role)};`;
    return [problem('to', `the destination has no schema ${schema}`, fix)];
  }
  if (usage && create) return [];
  const missing = [usage ? [] : 'USAGE', create ? [] : 'CREATE'].flat().join(', ');
  const fix = `GRANT ${missing} ON SCHEMA ${quoteIdent(schema)} TO ${quoteIdent(role)};`;
  return [problem('to', `role ${role} lacks ${missing} on schema ${schema}, where the data is staged`, fix)];
}

/** Publications of a whole schema (version 15 and newer) replicate what is staged there. */
export async function publicationFindings(session: PgSession, { schema }: Relation): Promise<Finding[]> {
  if (session.serverVersion < 150000) return [];
  const found = await session.query<{ name: string }>(
    `SELECT p.pubname::text AS name FROM pg_publication p JOIN pg_publication_namespace n ON n.pnpubid = p.oid
     JOIN pg_namespace s ON s.oid = n.pnnspid WHERE s.nspname = $1 ORDER BY 1`,
    [schema],
  );
  return found.map(({ name }) =>
    warning('to', `publication ${name} has all tables of schema ${schema}: staging is replicated too`),
  );
}

interface Rights {
  role: string;
  owner: string;
  member: boolean;
  own: boolean;
  owner_may_create: boolean;
  /** Membership in it would be too much to grant. */
  owner_is_superuser: boolean;
  selects: boolean;
  inserts: boolean;
  policies: boolean;
  /** Of the target and its indexes, those that this role may not create in. */
  tablespaces: string[];
}

/** What a mode needs on a target that exists. Run it with an empty search_path. */
export async function privilegeFindings(session: PgSession, mode: Mode, target: Target): Promise<Finding[]> {
  const rights = (await firstRow<Rights>(session, RIGHTS, [target.oid]))!;
  const more = mode === 'replace' ? ownershipFindings(session, rights, target) : appendFindings(rights, target);
  return [...more, ...tablespaceFindings(rights, target)];
}

/** Staging and its indexes lie where the target's do. The database's own tablespace is everybody's. */
function tablespaceFindings({ role, tablespaces }: Rights, target: Target): Finding[] {
  return tablespaces.map((name) => {
    const message = `role ${role} may not create in tablespace ${name}, where ${quoteRelation(target)} or an index of it lies`;
    return problem('to', message, `GRANT CREATE ON TABLESPACE ${quoteIdent(name)} TO ${quoteIdent(role)};`);
  });
}

/** Before version 16, a member may always act as the role. */
function ownershipFindings(session: PgSession, rights: Rights, target: Target): Finding[] {
  const { role, owner, member, own, owner_may_create: mayCreate } = rights;
  const table = quoteRelation(target);
  if (!member && rights.owner_is_superuser) {
    const fix = `ALTER TABLE ${table} OWNER TO ${quoteIdent(role)};`;
    return [problem('to', `role ${role} must own ${table} to replace it; its owner ${owner} is a superuser`, fix)];
  }
  if (!member) {
    const grant = `GRANT ${quoteIdent(owner)} TO ${quoteIdent(role)}${session.serverVersion >= 160000 ? ' WITH INHERIT TRUE, SET TRUE' : ''};`;
    return [problem('to', `role ${role} must own ${table} to replace it, or be a member of its owner ${owner}`, grant)];
  }
  if (own || mayCreate) return [];
  const fix = `GRANT CREATE ON SCHEMA ${quoteIdent(target.schema)} TO ${quoteIdent(owner)};`;
  return [problem('to', `owner ${owner} of ${table} may not own a new table in its schema`, fix)];
}

function appendFindings(rights: Rights, target: Target): Finding[] {
  const { role, selects, inserts, policies } = rights;
  const to = `ON ${quoteRelation(target)} TO ${quoteIdent(role)};`;
  return [
    ...(selects
      ? []
      : [problem('to', `role ${role} may not read the definition of ${quoteRelation(target)}`, `GRANT SELECT ${to}`)]),
    ...(inserts
      ? []
      : [problem('to', `role ${role} may not insert into ${quoteRelation(target)}`, `GRANT INSERT ${to}`)]),
    ...(policies
      ? [
          problem(
            'to',
            `row security of ${quoteRelation(target)} applies to role ${role}`,
            'use its owner or a role with BYPASSRLS',
          ),
        ]
      : []),
  ];
}

const RIGHTS = `
  SELECT current_user::text AS role, pg_get_userbyid(c.relowner)::text AS owner,
         pg_has_role(c.relowner, 'USAGE')
           AND pg_has_role(c.relowner, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) AS member,
         c.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) AS own,
         (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
           OR has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') AS owner_may_create,
         coalesce((SELECT rolsuper FROM pg_roles WHERE oid = c.relowner), false) AS owner_is_superuser,
         has_table_privilege(c.oid, 'SELECT') AS selects,
         has_table_privilege(c.oid, 'INSERT') AS inserts,
         row_security_active(c.oid) AS policies,
         coalesce((SELECT array_agg(s.spcname::text ORDER BY s.spcname) FROM pg_tablespace s
                   WHERE NOT has_tablespace_privilege(s.oid, 'CREATE')
                     AND (s.oid = c.reltablespace OR s.oid IN
                       (SELECT x.reltablespace FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid))),
                  '{}') AS tablespaces
  FROM pg_class c WHERE c.oid = $1`;
