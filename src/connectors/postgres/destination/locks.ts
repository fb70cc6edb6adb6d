import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../../core/errors.js';
import type { PgSession } from '../session.js';
import { OWN_SESSIONS } from '../slots.js';
import { quoteLiteral } from '../sql.js';
import { firstRow } from './queries.js';

/** How long an ended session may take to disappear, in milliseconds: it may be in the middle of a large write. */
const GONE_WITHIN = 30_000;
const LOOK_EVERY = 50;

/** A session that stands in the way. */
export interface Holder {
  pid: number;
  role: string;
  application: string;
}

/**
 * Takes an advisory lock that is held until the transaction ends. At most one attempt is alive at a time, so whoever holds the
 * lock is a zombie, whose attempt numbers and names prove nothing: the session that pg_locks names is ended, and its transaction
 * rolls back. Throws LockTimeout when it can't be ended.
 */
export async function takeLock(session: PgSession, key: string, what: string): Promise<void> {
  const deadline = Date.now() + GONE_WITHIN;
  while (!(await tryLock(session, key))) {
    if (Date.now() > deadline) throw stillHeld(session, what);
    await endSessions(session, await lockHolders(session, key), what);
    await sleep(LOOK_EVERY, undefined, { signal: session.options.signal });
  }
}

/**
 * With the key in the text: of a statement with parameters the server keeps the snapshot until the next one, and whoever is frozen in
 * between would be a reader that others' publishing waits for.
 */
async function tryLock(session: PgSession, key: string): Promise<boolean> {
  const row = await firstRow<{ taken: boolean }>(
    session,
    `SELECT pg_try_advisory_xact_lock(${quoteLiteral(key)}) AS taken`,
  );
  return row?.taken === true;
}

/** pg_locks shows the halves of a bigint key as two unsigned numbers; objsubid 1 tells it from a pair of ints. */
function lockHolders(session: PgSession, key: string): Promise<Holder[]> {
  return session.query<Holder>(
    `SELECT DISTINCT ${HOLDER} FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid() AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.classid::bigint = (($1::bigint >> 32) & 4294967295)
       AND l.objid::bigint = ($1::bigint & 4294967295)`,
    [key],
  );
}

/**
 * Sessions that hold any lock on one of these relations. Vacuum's own workers are left out: they give way by
 * themselves.
 */
export function relationHolders(session: PgSession, oids: readonly number[]): Promise<Holder[]> {
  return session.query<Holder>(`${HOLDERS} AND l.granted`, [oids]);
}

/**
 * Sessions that may still write to a staging table, or wait to: Longhaul's own, known by the slot that each of them holds, whatever
 * they do there, and whoever else would write. Somebody who only reads it, as a backup of the whole database does, is none.
 */
export function stagingWriters(session: PgSession, oid: number): Promise<Holder[]> {
  return session.query<Holder>(
    `${HOLDERS} AND (l.pid IN ${OWN_SESSIONS} OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))`,
    [[oid]],
  );
}

const HOLDER = `a.pid, coalesce(a.usename, '')::text AS role, coalesce(a.application_name, '') AS application`;

const HOLDERS = `SELECT DISTINCT ${HOLDER} FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  WHERE l.relation = ANY ($1::oid[]) AND l.pid <> pg_backend_pid() AND a.usename IS NOT NULL
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

/** Ends sessions until none is left that `holders` finds. Throws LockTimeout. */
export async function endAllOf(session: PgSession, holders: () => Promise<Holder[]>, what: string): Promise<void> {
  const deadline = Date.now() + GONE_WITHIN;
  for (let left = await holders(); left.length > 0; left = await holders()) {
    if (Date.now() > deadline) throw stillHeld(session, what);
    await endSessions(session, left, what);
    await sleep(LOOK_EVERY, undefined, { signal: session.options.signal });
  }
}

/** Ends sessions; they may take a moment to be gone. Throws LockTimeout naming the role for want of the privilege. */
async function endSessions(session: PgSession, holders: readonly Holder[], what: string): Promise<void> {
  for (const holder of holders) {
    try {
      await session.query('SELECT pg_terminate_backend($1)', [holder.pid]);
    } catch (cause) {
      if (cause instanceof LonghaulError && cause.code === 'PermissionDenied') throw mayNotEnd(session, what, holder);
      throw cause;
    }
    const { pid, application } = holder;
    session.options.log.warn({ connection: session.name, pid, application }, `ended the session that held ${what}`);
  }
}

function mayNotEnd(session: PgSession, what: string, { pid, role }: Holder): LonghaulError {
  return new LonghaulError(
    'LockTimeout',
    `Connection "${session.name}": ${what} is held by session ${pid} of role ${role}, which may not be ended.`,
    { next: `End it (SELECT pg_terminate_backend(${pid})), or GRANT pg_signal_backend to the connection's role.` },
  );
}

function stillHeld(session: PgSession, what: string): LonghaulError {
  return new LonghaulError(
    'LockTimeout',
    `Connection "${session.name}": ${what} is still held ${GONE_WITHIN / 1000} s after its holder was ended.`,
    { next: 'Look at the holder in pg_locks: it may be in the middle of a long write.' },
  );
}
