import { setTimeout as sleep } from 'node:timers/promises';
import { LonghaulError } from '../../../core/errors.js';
import { lockKey } from '../../hash.js';
import type { SnapshotKey } from '../../types.js';
import type { PgSession } from '../session.js';

/**
 * Two advisory locks of each snapshot, both of sessions and not of transactions, so that the server gives them back when a session ends,
 * however it ends:
 * - membership, shared: held by every session that holds the snapshot or is about to, from before it looks for others until its
 *   end. A name is a label; this is the proof by which such sessions are ended.
 * - the election, from a look at the holders until one's own name stands among them: shared by those who import, so that
 *   whoever gets it exclusively, and finds no holder, knows that there is none and that none is about to be.
 */
export type Election = 'shared' | 'exclusive';

/** Milliseconds within which ended sessions have to be gone, and between two looks at them. */
const GONE_WITHIN = 10_000;
const LOOK_EVERY = 50;

const membership = ({ run, snapshot }: SnapshotKey): string => lockKey('longhaul.snapshot.holder', run, snapshot);
const election = ({ run, snapshot }: SnapshotKey): string => lockKey('longhaul.snapshot', run, snapshot);

/** A condition on pg_locks `l`: it is the bigint key of this parameter. pg_locks shows its halves as two unsigned numbers. */
function ofKey(parameter: string): string {
  return `l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    AND l.classid::bigint = ((${parameter}::bigint >> 32) & 4294967295)
    AND l.objid::bigint = (${parameter}::bigint & 4294967295)`;
}

/** Nobody ever asks for it exclusively: it is there at once. */
export async function join(session: PgSession, key: SnapshotKey): Promise<void> {
  await session.query('SELECT pg_catalog.pg_advisory_lock_shared($1)', [membership(key)]);
}

/** Answers false when somebody else is in the way. */
export async function tryElection(session: PgSession, key: SnapshotKey, how: Election): Promise<boolean> {
  const lock = how === 'shared' ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock';
  const [row] = await session.query<{ locked: boolean }>(`SELECT pg_catalog.${lock}($1) AS locked`, [election(key)]);
  return row!.locked;
}

export async function endElection(session: PgSession, key: SnapshotKey, how: Election): Promise<void> {
  const unlock = how === 'shared' ? 'pg_advisory_unlock_shared' : 'pg_advisory_unlock';
  await session.query(`SELECT pg_catalog.${unlock}($1)`, [election(key)]);
}

/** Somebody is about to hold the snapshot, or to find that it is lost. */
export async function isElecting(session: PgSession, key: SnapshotKey): Promise<boolean> {
  const rows = await session.query(`SELECT FROM pg_catalog.pg_locks l WHERE ${ofKey('$1')}`, [election(key)]);
  return rows.length > 0;
}

/** Pids of other members of this role whose name begins so. */
export async function membersNamed(session: PgSession, key: SnapshotKey, prefix: string): Promise<number[]> {
  const named = `${MEMBERS} AND pg_catalog.starts_with(a.application_name, $2)`;
  const rows = await session.query<{ pid: number }>(named, [membership(key), prefix]);
  return rows.map(({ pid }) => pid);
}

/**
 * Ends other sessions of this role that are in the way of an election and have done nothing for so many milliseconds: their process
 * is frozen or unreachable. One that has no name yet is read under by nobody; nor is one that took the snapshot in an election that
 * has not ended, since the ledger doesn't know of it. One that has imported and has its name is left alone. Answers with how many.
 */
export async function endIdleElectors(session: PgSession, key: SnapshotKey, prefix: string, idle: number) {
  const ended = await session.query(
    `SELECT e.pid, pg_catalog.pg_terminate_backend(e.pid) FROM (
       SELECT a.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
       WHERE ${ofKey('$1')} AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename = session_user
         AND (l.mode = 'ExclusiveLock' OR NOT pg_catalog.starts_with(a.application_name, $2))
         AND a.state LIKE 'idle%'
         AND a.state_change < pg_catalog.clock_timestamp() - $3 * interval '1 millisecond' OFFSET 0) e`,
    [election(key), prefix, idle],
  );
  return ended.length;
}

const MEMBERS = `
  SELECT a.pid FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE ${ofKey('$1')} AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename = session_user`;

/** Ends all members but this session, and waits until they are gone. Answers how many there were. Throws LockTimeout. */
export async function endMembers(session: PgSession, key: SnapshotKey): Promise<number> {
  const ended = new Set<number>();
  const deadline = Date.now() + GONE_WITHIN;
  for (;;) {
    const rows = await session.query<{ pid: number }>(
      `SELECT m.pid, pg_catalog.pg_terminate_backend(m.pid) FROM (${MEMBERS} OFFSET 0) m`,
      [membership(key)],
    );
    if (rows.length === 0) return ended.size;
    for (const { pid } of rows) ended.add(pid);
    if (Date.now() > deadline) throw stillThere(session, key, rows.length);
    await sleep(LOOK_EVERY, undefined, { signal: session.options.signal });
  }
}

function stillThere(session: PgSession, { run, snapshot }: SnapshotKey, count: number): LonghaulError {
  const message = `Connection "${session.name}": ${count} sessions that hold snapshot ${snapshot} of run ${run} were ended and are still there.`;
  return new LonghaulError('LockTimeout', message, {
    next: 'They end with their lease, within two minutes. See pg_stat_activity, application_name "longhaul snapshot …".',
  });
}
