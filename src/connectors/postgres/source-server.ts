import { problem, warning } from '../findings.js';
import type { Demand, Finding } from '../types.js';
import { serverFindings } from './server.js';
import type { PgSession } from './session.js';

/** The oldest server that is read from. */
const OLDEST = 12;

/** See `SourceSession.checkServer`. */
export async function checkSourceServer(session: PgSession, demand: Demand): Promise<Finding[]> {
  const major = Math.floor(session.serverVersion / 10_000);
  if (major < OLDEST) return [tooOld(session.name, major)];
  return [...(await serverFindings(session, demand)), ...(await standbyFindings(session))];
}

function tooOld(name: string, major: number): Finding {
  return problem('', `connection "${name}" is Postgres ${major}; Longhaul reads from ${OLDEST} and newer`);
}

/** `delay`: how long replay waits for a read that stands in its way, as the server writes it; -1 is for ever. */
async function standbyFindings(session: PgSession): Promise<Finding[]> {
  const [row] = await session.query<{ standby: boolean; feedback: boolean; delay: string }>(
    `SELECT pg_is_in_recovery() AS standby, current_setting('hot_standby_feedback')::bool AS feedback,
            current_setting('max_standby_streaming_delay') AS delay`,
  );
  const { standby, feedback, delay } = row!;
  if (!standby || feedback) return [];
  const head = `connection "${session.name}" is a standby without hot_standby_feedback`;
  const fix = 'set hot_standby_feedback = on at the standby, or read from the primary';
  if (delay === '-1') {
    return [warning('', `${head}: it falls behind its primary while long reads stand in the way of a vacuum`, fix)];
  }
  return [
    warning(
      '',
      `${head}: a vacuum on the primary can end long reads after ${delay} (max_standby_streaming_delay)`,
      fix,
    ),
  ];
}
