import { setTimeout as sleep } from 'node:timers/promises';
import type { SnapshotSight } from '../../../core/activities.js';
import { LonghaulError } from '../../../core/errors.js';
import { shortHash } from '../../hash.js';
import type { SnapshotKey } from '../../types.js';
import type { PgSession } from '../session.js';
import { quoteLiteral } from '../sql.js';
import { isElecting } from './advisory.js';

/** Of the run's hash, so that the whole name stays below the 63 bytes of an application_name. */
const HASH_LENGTH = 16;

/** What the name of every session that holds a snapshot of this run begins with; the snapshot's number comes after it. */
export function runPrefix(run: string): string {
  return `longhaul snapshot ${shortHash(run).slice(0, HASH_LENGTH)} `;
}

/** What the name of every session that holds this snapshot begins with; the id to import it by comes after it. */
export function holderPrefix({ run, snapshot }: SnapshotKey): string {
  return `${runPrefix(run)}${snapshot} `;
}

/**
 * Ids by which the snapshot may be imported from sessions that say they hold it, in a transaction that has read something already,
 * or outside of any. A name proves nothing: only the import does, which the server refuses for a snapshot that is gone. Names of other roles
 * are not looked at.
 */
export async function holderIds(session: PgSession, key: SnapshotKey): Promise<string[]> {
  return (await namedHolders(session, key)).map(({ id }) => id);
}

/**
 * How many sessions say that they hold it, and how many transactions ago the oldest row version dates that they keep from vacuum.
 * Whether one is about to is asked first: its name comes before its election ends.
 */
export async function observeHolders(session: PgSession, key: SnapshotKey): Promise<SnapshotSight> {
  const electing = await isElecting(session, key);
  const holders = await namedHolders(session, key);
  const ages = holders.flatMap(({ xids }) => (xids === null ? [] : [xids]));
  const heldXids = ages.length > 0 && { heldXids: Math.max(...ages) };
  return { holders: holders.length, ...(electing && { electing }), ...heldXids };
}

async function namedHolders(session: PgSession, key: SnapshotKey): Promise<{ id: string; xids: number | null }[]> {
  const rows = await session.query<{ id: string; xids: number | null }>(
    `SELECT pg_catalog.substr(application_name, pg_catalog.length($1::text) + 1) AS id, pg_catalog.age(backend_xmin) AS xids
     FROM pg_catalog.pg_stat_activity
     WHERE datname = pg_catalog.current_database() AND usename = session_user
       AND pg_catalog.starts_with(application_name, $1) ORDER BY backend_start`,
    [holderPrefix(key)],
  );
  return rows.filter(({ id }) => /^[0-9A-F]+(-[0-9A-F]+)+$/.test(id));
}

/**
 * Makes the open transaction, which has read nothing yet, see the snapshot. Answers false when it is gone: the transaction is then
 * of no more use. Throws what concerns the connection.
 */
export async function importSnapshot(session: PgSession, id: string): Promise<boolean> {
  try {
    await session.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(id)}`);
    return true;
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.handling === 'connection') throw error;
    session.options.log.debug({ connection: session.name, error: error.message }, 'a snapshot could not be imported');
    return false;
  }
}

/** Milliseconds that a reader waits for a holder that is about to be, and between two looks. */
const HOLDER_TAKES = 30_000;
const LOOK_EVERY = 100;

/**
 * Begins a transaction that sees the snapshot. `begin` begins it and locks what will be read, without reading: the lock comes
 * first, so that whoever holds the snapshot at the import has kept the table from being rewritten until then, and the lock does from
 * then on. Throws SnapshotLost.
 */
export async function beginUnder(session: PgSession, key: SnapshotKey, begin: () => Promise<void>): Promise<void> {
  // An import may be refused for a passing reason: who still has its name after that is asked once more.
  for (const gone of [new Set<string>(), new Set<string>()]) {
    for (let id; (id = await livingHolder(session, key, gone)) !== undefined; gone.add(id)) {
      await begin();
      if (await importSnapshot(session, id)) return;
      await session.rollback();
    }
  }
  throw snapshotLost(session, key);
}

/** Waits for one that is about to be; looks once more after that, since its name came before its election ended. */
async function livingHolder(session: PgSession, key: SnapshotKey, gone: Set<string>): Promise<string | undefined> {
  const look = async () => (await holderIds(session, key)).find((id) => !gone.has(id));
  for (const deadline = Date.now() + HOLDER_TAKES; ;) {
    const id = await look();
    if (id !== undefined) return id;
    if (Date.now() > deadline || !(await isElecting(session, key))) return look();
    await sleep(LOOK_EVERY, undefined, { signal: session.options.signal });
  }
}

export function snapshotLost(session: PgSession, { run, snapshot }: SnapshotKey): LonghaulError {
  const message = `Connection "${session.name}": no session holds snapshot ${snapshot} of run ${run} any more.`;
  return new LonghaulError('SnapshotLost', message, {
    next: `With \`onSnapshotLost: restart\` its unpublished tables start over under a new one; otherwise start the job again with \`resume: ${run}\`.`,
  });
}
