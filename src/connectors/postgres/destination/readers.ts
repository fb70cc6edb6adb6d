import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../../core/errors.js';
import { reach } from '../../../core/fail-points.js';
import type { TableRecord } from '../../../core/model.js';
import type { Meter } from '../../types.js';
import type { PgSession } from '../session.js';
import { OWN_SESSIONS, SNAPSHOT_SESSIONS } from '../slots.js';
import { requireRelation } from '../sql.js';
import type { LedgerNames } from './ledger-schema.js';

const LOOK_EVERY = 250;

/** A transaction that is open: its process may begin others. */
interface Reader {
  pid: number;
  transaction: string;
  application: string;
  seconds: number | null;
}

/** The first user relation's oid: those below are the server's own. */
const FIRST_USER_OID = 16_384;

/**
 * Waits until no transaction is left whose snapshot may be older than the last committed partition: after the swap it would find
 * the new table and see only the rows of its time in it. Those that began after the table was closed, which is the time of
 * its last change, see them all. Throws LockTimeout after `publishWait` milliseconds, naming the oldest.
 *
 * Transactions are told by pg_locks, since pg_stat_activity hides from an ordinary role when other roles' transactions began, though
 * not whether they have a snapshot (backend_xmin); of those that have one, any may be a reader.
 */
export async function waitForReaders(
  session: PgSession,
  names: LedgerNames,
  record: TableRecord,
  meter: Meter,
  publishWait: number,
): Promise<void> {
  const { run, spec } = record;
  const deadline = Date.now() + publishWait;
  let left = await session.query<Reader>(readers(names), [run, spec.table]);
  while (left.length > 0) {
    meter.phase = `waiting for ${describe(left)}`;
    if (Date.now() > deadline) throw stillReading(session, spec.to, left, publishWait);
    await reach('publish: in wait for readers');
    await sleep(LOOK_EVERY, undefined, { signal: session.options.signal });
    left = await session.query<Reader>(`${readers(names)} AND l.virtualtransaction = ANY ($3::text[])`, [
      run,
      spec.table,
      left.map(({ transaction }) => transaction),
    ]);
  }
}

/**
 * A session of Longhaul, in any job, that has locked a table of the user's or of the ledger has begun the one thing it does in its
 * transaction: it will read no table that it has not locked by now. If that is the target, the swap waits for the lock.
 * Whoever holds a snapshot for others reads nothing itself, whether it has locked a table or, of a job of queries, none; those
 * that read under it are counted by themselves. Parallel workers are counted with their leader.
 */
const readers = ({ runTables }: LedgerNames) => `
  SELECT a.pid, l.virtualtransaction AS transaction, coalesce(a.application_name, '') AS application,
         extract(epoch FROM clock_timestamp() - a.xact_start)::int AS seconds
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock'
    AND a.datname = current_database() AND a.usename IS NOT NULL AND a.pid <> pg_backend_pid()
    AND a.backend_type IS DISTINCT FROM 'parallel worker'
    AND a.backend_xmin IS NOT NULL
    AND a.pid NOT IN ${SNAPSHOT_SESSIONS}
    AND (a.xact_start IS NULL
      OR a.xact_start <= (SELECT changed_at FROM ${runTables} WHERE run = $1 AND table_name = $2))
    AND NOT (a.pid IN ${OWN_SESSIONS} AND EXISTS (SELECT FROM pg_locks w
      WHERE w.pid = a.pid AND w.database = a.datid AND w.granted AND w.relation >= ${FIRST_USER_OID}))`;

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
