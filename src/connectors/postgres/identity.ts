import type { PgSession } from './session.js';

/** A session never leaves its database. */
const known = new WeakMap<PgSession, string>();

/**
 * System and database, equal on a primary and its standbys and over restarts; one round trip, the first time. Everybody may read the
 * system identifier unless that was revoked; then the database's own OID and name have to do.
 */
export async function identityOf(session: PgSession): Promise<string> {
  const identity = known.get(session) ?? (await askIdentity(session));
  known.set(session, identity);
  return identity;
}

async function askIdentity(session: PgSession): Promise<string> {
  const { name, mayAskSystem } = session.database;
  if (!mayAskSystem) return `postgres/unknown-system/${name}`;
  const [system] = await session.query<{ id: string }>(
    'SELECT system_identifier::pg_catalog.text AS id FROM pg_catalog.pg_control_system()',
  );
  return `postgres/${system!.id}/${name}`;
}
