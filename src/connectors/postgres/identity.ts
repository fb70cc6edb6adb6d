import type { PgSession } from './session.js';

/**
 * System and database, equal on a primary and its standbys and over restarts. Everybody may read the system identifier unless
 * that was revoked; then the database's own OID and name have to do.
 */
export async function identityOf(session: PgSession): Promise<string> {
  const [row] = await session.query<{ allowed: boolean; database: string }>(
    `SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS allowed, oid || '/' || datname AS database
     FROM pg_database WHERE datname = current_database()`,
  );
  if (!row!.allowed) return `postgres/unknown-system/${row!.database}`;
  const [system] = await session.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
  return `postgres/${system!.id}/${row!.database}`;
}
