import type { Finding } from '../../types.js';
import type { PgSession } from '../session.js';
import { ledgerFindings, type LedgerNames } from './ledger-schema.js';
import { firstRow } from './queries.js';

/** The first that reads arrays of user types in binary from another database, and knows a compression of each column. */
const OLDEST = 14;

/** See `DestinationSession.checkServer`. */
export async function checkDestinationServer(session: PgSession, names: LedgerNames): Promise<Finding[]> {
  const major = Math.floor(session.serverVersion / 10_000);
  if (major < OLDEST) {
    return [problem(`connection "${session.name}" is Postgres ${major}`, `use Postgres ${OLDEST} or newer`)];
  }
  const server = await firstRow<{ standby: boolean; publications: string[] }>(
    session,
    `SELECT pg_is_in_recovery() AS standby,
            coalesce((SELECT array_agg(pubname::text ORDER BY pubname) FROM pg_publication WHERE puballtables), '{}') AS publications`,
  );
  if (server!.standby) {
    return [problem(`connection "${session.name}" is a standby, which can't be written to`, 'connect to its primary')];
  }
  const replicated = server!.publications.map((name) => replicates(session, name));
  return [...(await ledgerFindings(session, names)), ...replicated];
}

function replicates(session: PgSession, publication: string): Finding {
  const message = `publication ${publication} of connection "${session.name}" is FOR ALL TABLES: staging is replicated too`;
  return { severity: 'warning', path: '', message };
}

function problem(message: string, fix: string): Finding {
  return { severity: 'problem', path: '', message, fix };
}
