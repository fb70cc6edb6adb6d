import { LonghaulError } from '../../core/errors.js';
import { warning } from '../findings.js';
import type { Demand, Finding } from '../types.js';
import type { PgSession } from './session.js';
import { quoteIdent } from './sql.js';

/** What is asked of a Postgres server at either side, before anything is read or written. No transaction may be open. */

/** A session that waits for the other side is idle; so long it may have to, while the other one plans. Milliseconds. */
const LONGEST_IDLE = 600_000;

interface ServerRow {
  role: string;
  database: string;
  /** Most sessions of this role, of the database, and of all that aren't superusers; -1 is no limit. */
  role_limit: number;
  database_limit: number;
  server_limit: number;
  /** Milliseconds; 0 is none, as it is before version 14. */
  idle_timeout: number;
  /** The slot that this session took when it was opened is still its own. */
  keeps_locks: boolean;
}

const SERVER = `
  SELECT current_user::text AS role, current_database()::text AS database,
    CASE WHEN r.rolsuper THEN -1 ELSE r.rolconnlimit END AS role_limit,
    CASE WHEN r.rolsuper THEN -1 ELSE d.datconnlimit END AS database_limit,
    current_setting('max_connections')::int - CASE WHEN r.rolsuper THEN 0 ELSE
      current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int END
      AS server_limit,
    coalesce((SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'), 0) AS idle_timeout,
    EXISTS (SELECT FROM pg_catalog.pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND granted) AS keeps_locks
  FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
  WHERE r.rolname = current_user AND d.datname = current_database()`;

/** Throws ServerUnsuitable for a pooler that doesn't keep a session together. */
export async function serverFindings(session: PgSession, { sessions }: Demand): Promise<Finding[]> {
  await session.refusePooling();
  const [row] = (await session.query<ServerRow>(SERVER)) as [ServerRow];
  if (!row.keeps_locks) throw sessionsAreReset(session.name);
  return [...limitFindings(session, row, sessions), ...idleFindings(session.name, row)];
}

function sessionsAreReset(name: string): LonghaulError {
  const message = `Connection "${name}" goes through a pooler that resets sessions between transactions; session locks don't hold there`;
  return new LonghaulError('ServerUnsuitable', message, {
    next: `Let "${name}" connect to the server itself, or to a pool in session mode.`,
  });
}

interface Limit {
  readonly most: number;
  readonly of: string;
  readonly fix: string;
}

/** The narrowest of what bounds the sessions. Those that others use at this moment are left out: they come and go. */
function limitFindings(session: PgSession, row: ServerRow, sessions: number): Finding[] {
  const [narrowest] = limitsOf(session, row, sessions)
    .filter(({ most }) => most >= 0 && most < sessions)
    .sort((a, b) => a.most - b.most);
  if (narrowest === undefined) return [];
  const message = `parallelism asks for up to ${sessions} sessions at connection "${session.name}", and ${narrowest.of} allows ${narrowest.most}`;
  return [warning('', message, `lower parallelism, or ${narrowest.fix}`)];
}

function limitsOf({ config }: PgSession, row: ServerRow, sessions: number): Limit[] {
  const [role, database] = [quoteIdent(row.role), quoteIdent(row.database)];
  return [
    { most: config.maxSessions, of: 'its maxSessions in longhaul.yaml', fix: 'raise maxSessions' },
    {
      most: row.role_limit,
      of: `the CONNECTION LIMIT of role ${row.role}`,
      fix: `run ALTER ROLE ${role} CONNECTION LIMIT ${sessions + 2};`,
    },
    {
      most: row.database_limit,
      of: `the CONNECTION LIMIT of database ${row.database}`,
      fix: `run ALTER DATABASE ${database} CONNECTION LIMIT ${sessions + 2};`,
    },
    { most: row.server_limit, of: 'max_connections of the server', fix: 'raise max_connections' },
  ];
}

function idleFindings(name: string, { idle_timeout: timeout, role }: ServerRow): Finding[] {
  if (timeout === 0 || timeout >= LONGEST_IDLE) return [];
  const message = `connection "${name}" ends idle sessions after ${timeout / 1000} s (idle_session_timeout), also those that wait for the other side`;
  return [warning('', message, `run ALTER ROLE ${quoteIdent(role)} SET idle_session_timeout = 0;`)];
}
