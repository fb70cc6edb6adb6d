import { problem, warning } from '../../findings.js';
import type { Demand, Finding } from '../../types.js';
import { serverFindings } from '../server.js';
import type { PgSession } from '../session.js';
import { quoteIdent } from '../sql.js';
import { ledgerFindings, type LedgerNames } from './ledger-schema.js';
import { firstRow } from './queries.js';

/** The first that reads arrays of user types in binary from another database, and knows a compression of each column. */
const OLDEST = 14;

interface ServerRow {
  standby: boolean;
  read_only: boolean;
  /** Who says so: pg_settings.source. */
  said_by: string;
  role: string;
  database: string;
  publications: string[];
  triggers: string[];
}

/** Outside of a transaction: BEGIN would state other defaults. */
const SERVER = `
  SELECT pg_is_in_recovery() AS standby, s.setting = 'on' AS read_only, s.source AS said_by,
         current_user::text AS role, current_database()::text AS database,
         coalesce((SELECT array_agg(pubname::text ORDER BY pubname) FROM pg_catalog.pg_publication WHERE puballtables), '{}') AS publications,
         coalesce((SELECT array_agg(evtname::text ORDER BY evtname) FROM pg_catalog.pg_event_trigger WHERE evtenabled IN ('O', 'A')), '{}') AS triggers
  FROM pg_catalog.pg_settings s WHERE s.name = 'default_transaction_read_only'`;

/** See `DestinationSession.checkServer`. */
export async function checkDestinationServer(
  session: PgSession,
  names: LedgerNames,
  demand: Demand,
): Promise<Finding[]> {
  const major = Math.floor(session.serverVersion / 10_000);
  if (major < OLDEST) {
    return [problem('', `connection "${session.name}" is Postgres ${major}`, `use Postgres ${OLDEST} or newer`)];
  }
  const findings = await serverFindings(session, demand);
  const server = (await firstRow<ServerRow>(session, SERVER))!;
  if (server.standby) {
    const message = `connection "${session.name}" is a standby, which can't be written to`;
    return [...findings, problem('', message, 'connect to its primary')];
  }
  if (server.read_only) findings.push(readOnly(session.name, server));
  findings.push(...server.publications.map((name) => replicates(session.name, name)));
  if (server.triggers.length > 0) findings.push(fires(session.name, server.triggers));
  return [...findings, ...(await ledgerFindings(session, names))];
}

/** It is not overridden: whoever set it meant to keep this role from writing. */
function readOnly(connection: string, { role, database, said_by: by }: ServerRow): Finding {
  const reset = 'RESET default_transaction_read_only;';
  const mend: Readonly<Record<string, string>> = {
    user: `run ALTER ROLE ${quoteIdent(role)} ${reset}`,
    database: `run ALTER DATABASE ${quoteIdent(database)} ${reset}`,
    'database user': `run ALTER ROLE ${quoteIdent(role)} IN DATABASE ${quoteIdent(database)} ${reset}`,
  };
  const message = `role ${role} of connection "${connection}" may only read: default_transaction_read_only is on`;
  return problem(
    '',
    message,
    mend[by] ?? `run ALTER ROLE ${quoteIdent(role)} SET default_transaction_read_only = off;`,
  );
}

function replicates(connection: string, publication: string): Finding {
  return warning(
    '',
    `publication ${publication} of connection "${connection}" is FOR ALL TABLES: staging is replicated too`,
  );
}

function fires(connection: string, triggers: readonly string[]): Finding {
  const message = `event triggers of connection "${connection}" fire when staging is made and takes the target's place: ${triggers.join(', ')}`;
  return warning('', message, 'see that they let tables named _longhaul_… pass');
}
