import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../../core/errors.js';
import type { Meter } from '../../types.js';
import type { PgSession } from '../session.js';
import { requireRelation } from '../sql.js';

const LOOK_EVERY = 250;

/** A transaction that is open: its process may begin others. */
interface Reader {
  pid: number;
  transaction: string;
  application: string;
  seconds: number | null;
}

/**
 * Waits until no transaction is left whose snapshot may be older than the last committed partition: after the swap it would find
 * the new table and see only the rows of its time in it. Those that begin after `since` see them all. Throws LockTimeout after
 * `publishWait` milliseconds, naming the oldest.
 *
 * Transactions are told by pg_locks, since pg_stat_activity hides other roles' transactions from an ordinary role; of those that
 * it hides, any may be a reader. Sessions that are loading a staging table are none: Longhaul's, in other tables of the job.
 */
export async function waitForReaders(
  session: PgSession,
  to: string,
  since: string,
  meter: Meter,
  publishWait: number,
): Promise<void> {
  const deadline = Date.now() + publishWait;
  let left = await session.query<Reader>(READERS, [since]);
  while (left.length > 0) {
    meter.phase = `waiting for ${describe(left)}`;
    if (Date.now() > deadline) throw stillReading(session, to, left, publishWait);
    await sleep(LOOK_EVERY, undefined, { signal: session.options.signal });
    left = await session.query<Reader>(`${READERS} AND l.virtualtransaction = ANY ($2::text[])`, [
      since,
      left.map(({ transaction }) => transaction),
    ]);
  }
}

const READERS = `
  SELECT a.pid, l.virtualtransaction AS transaction, coalesce(a.application_name, '') AS application,
         extract(epoch FROM clock_timestamp() - a.xact_start)::int AS seconds
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock'
    AND a.datname = current_database() AND a.usename IS NOT NULL AND a.pid <> pg_backend_pid()
    AND (a.state IS NULL OR a.backend_xmin IS NOT NULL)
    AND (a.xact_start IS NULL OR a.xact_start <= $1::timestamptz)
    AND NOT EXISTS (SELECT FROM pg_locks w JOIN pg_class c ON c.oid = w.relation
      WHERE w.pid = a.pid AND w.database = a.datid AND w.mode = 'RowExclusiveLock' AND c.relname LIKE '\\_longhaul\\_%')`;

function describe([first, ...others]: Reader[]): string {
  const { pid, application, seconds } = first!;
  const named = application === '' ? '' : ` (${application})`;
  const age = seconds === null ? '' : `, in a transaction for ${seconds} s`;
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return `session ${pid}${named}${age}${more}`;
}

function stillReading(session: PgSession, to: string, left: Reader[], publishWait: number): LonghaulError {
  const target = requireRelation(to).name;
  return new LonghaulError(
    'LockTimeout',
    `Connection "${session.name}": ${to} is loaded but not published, because an older transaction goes on after ${publishWait / 1000} s: ${describe(left)}. It would see only a part of the new ${target}.`,
    { next: `End that transaction, or wait: publishing is tried again.` },
  );
}
