import { warning } from '../../findings.js';
import type { Finding } from '../../types.js';
import type { PgSession } from '../session.js';
import { quoteIdent } from '../sql.js';
import { firstRow } from './queries.js';

const GB = 1024 ** 3;

/** Below it, no server is so full that it matters. */
const WORTH_SAYING = GB;

interface SpaceRow {
  role: string;
  database_bytes: number;
  /** Bytes of temporary files that one process may have; -1 is no limit. */
  temp_bytes: number;
}

const SPACE = `
  SELECT current_user::text AS role, pg_database_size(current_database())::float8 AS database_bytes,
    (SELECT CASE WHEN setting = '-1' THEN -1 ELSE setting::float8 * 1024 END FROM pg_catalog.pg_settings WHERE name = 'temp_file_limit')
      AS temp_bytes`;

/**
 * See `DestinationSession.checkSpace`. How much disk is free can't be asked over SQL; how much the tables take at the source can, and how
 * much this database takes now: whoever doubles it should have looked.
 */
export async function spaceFindings(
  session: PgSession,
  tables: readonly { readonly to: string; readonly bytes: number }[],
): Promise<Finding[]> {
  const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total === 0) return [];
  const row = (await firstRow<SpaceRow>(session, SPACE))!;
  return [...growthFindings(session.name, total, row.database_bytes), ...sortFindings(row, tables)];
}

function growthFindings(name: string, total: number, present: number): Finding[] {
  if (total < WORTH_SAYING || total < present) return [];
  const message = `the tables take about ${inGigabytes(total)} at the source, and the database of connection "${name}" takes ${inGigabytes(present)} now: until they are published, staging takes as much again, and its indexes more`;
  return [warning('', message, 'see that its disk has room: how much is free can not be asked over SQL')];
}

/** An index is built by sorting: its keys, twice at most, and no more than the table. */
function sortFindings(
  { role, temp_bytes: limit }: SpaceRow,
  tables: readonly { readonly to: string; readonly bytes: number }[],
): Finding[] {
  const larger = limit < 0 ? [] : tables.filter(({ bytes }) => bytes > limit);
  const largest = larger.sort((a, b) => b.bytes - a.bytes)[0];
  if (largest === undefined) return [];
  const others = larger.length > 1 ? ` and ${larger.length - 1} more` : '';
  const message = `temp_file_limit of role ${role} is ${inGigabytes(limit)}: building indexes of ${largest.to} (about ${inGigabytes(largest.bytes)} at the source)${others} may not be possible`;
  return [warning('', message, `as a superuser, run ALTER ROLE ${quoteIdent(role)} SET temp_file_limit = -1;`)];
}

/** `1.5 GB`; 1 GB is 1024³ bytes. */
function inGigabytes(bytes: number): string {
  return bytes < GB / 10 ? `${(bytes / 1024 ** 2).toFixed(1)} MB` : `${(bytes / GB).toFixed(1)} GB`;
}
