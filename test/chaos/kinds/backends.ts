import { lockKey } from '../../../src/connectors/hash.js';
import type { FaultKind } from '../kind.js';
import { LogTail } from '../log.js';
import type { Scene } from '../scene.js';
import type { Side } from '../stack.js';
import { calm, held, MET_WITHIN, SIDES, slowSource } from './links.js';

/** Sessions of the workers that a server ends, or whose statement it cancels. */

type How = 'terminate' | 'cancel';

/** A session, by what pg_stat_activity (`a`) says of it. */
interface Target {
  readonly side: Side;
  readonly where: string;
  readonly values?: readonly unknown[];
}

const COPYING = `state = 'active' AND query ^@ 'COPY '`;

const SAID: Readonly<Record<How, string>> = {
  terminate: 'FATAL:  terminating connection due to administrator command',
  cancel: 'ERROR:  canceling statement due to user request',
};

/**
 * Strikes one of the sessions that are as `where` says, and are so still when they are struck. Answers whether the server's log says
 * that it was hit.
 */
async function strike(scene: Scene, how: How, { side, where, values = [] }: Target): Promise<boolean> {
  const database = scene.stack.database(side);
  const those = `FROM pg_stat_activity a WHERE datname = current_database() AND application_name ^@ 'longhaul' AND ${where}`;
  const found = await database.query<{ pid: number }>(`SELECT pid ${those} ORDER BY pid`, [...values]);
  if (found.length === 0) return false;
  const { pid } = scene.random.pick(found);
  const log = await LogTail.begin(database.logFile);
  const sql = `SELECT pg_${how}_backend(pid) AS done ${those} AND pid = ${pid}`;
  const [struck] = await database.query<{ done: boolean }>(sql, [...values]);
  const told = new RegExp(`\\[${pid}\\] ${SAID[how]}`);
  return struck?.done === true && (await scene.until(async () => (await log.count(told)) > 0, 3_000));
}

/** Tries until a session is there and was struck. */
function strikeOne(scene: Scene, how: How, target: Target): Promise<boolean> {
  return scene.until(() => strike(scene, how, target), MET_WITHIN);
}

function copyingKind(how: How, about: string): FaultKind {
  return {
    name: `backend-${how}-copying`,
    repeats: true,
    about,
    shape: { verify: 'counts' },
    async run(scene) {
      const side = scene.random.pick(SIDES);
      await scene.start(slowSource(scene));
      for (let times = scene.times(3, 5); times > 0; times--) {
        if (await strikeOne(scene, how, { side, where: COPYING })) scene.struck();
      }
    },
  };
}

const beforeCommit: FaultKind = {
  name: 'backend-terminate-copied',
  repeats: true,
  about: "the destination's session is ended between COPY and COMMIT",
  async run(scene) {
    await scene.start();
    for (let times = scene.times(2, 4); times > 0; times--) {
      const link = await held(scene, 'copied');
      if (link === undefined) break;
      const where = `state = 'idle in transaction' AND query ^@ 'COPY ' AND client_port = ${link.port}`;
      if (await strike(scene, 'terminate', { side: 'destination', where })) scene.struck();
      link.resume();
    }
  },
  cleanUp: calm,
};

/** Milliseconds that each answer takes while a session is looked for that publishes, which is soon done. */
const WHILE_PUBLISHING = 40;

const publishing: FaultKind = {
  name: 'backend-publishing',
  about: 'the session that closes, waits or swaps in publishing is ended, or its statement cancelled',
  async run(scene) {
    const { proxy } = scene.stack.destination;
    const { partitions, parallelism } = scene.shape;
    await scene.start();
    if (!(await scene.until(async () => (await scene.committed()) >= partitions - parallelism))) return;
    proxy.delay = WHILE_PUBLISHING;
    for (let times = scene.times(1, 3); times > 0; times--) {
      const how = scene.random.pick(['terminate', 'terminate', 'cancel'] as const);
      await scene.moment(500);
      if (await strikeOne(scene, how, publisher(scene))) scene.struck();
    }
  },
  cleanUp: calm,
};

/** Holds the lock of publishing, or works on a table that the ledger has as being published. */
function publisher({ tables, run }: Scene): Target {
  const keys = tables.map((table) => lockKey('longhaul.publish', run, table));
  const where = `(pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = ANY ($1::bigint[]))
      OR application_name IN (SELECT 'longhaul ' || table_name FROM longhaul.run_tables WHERE run = $2 AND state = 'publishing'))`;
  return { side: 'destination', where, values: [keys, run] };
}

const holder: FaultKind = {
  name: 'backend-holder',
  repeats: true,
  about: 'the session of a holder of the snapshot is ended, or its statement cancelled',
  shape: { consistency: 'snapshot', onSnapshotLost: 'restart', publish: 'table', writes: true },
  async run(scene) {
    await scene.start();
    for (let times = scene.times(2, 3); times > 0; times--) {
      const how = scene.random.pick(['terminate', 'cancel'] as const);
      if (!(await scene.untilCopying(scene.random.next() / 2))) break;
      const where = `application_name ^@ 'longhaul snapshot '`;
      if (await strikeOne(scene, how, { side: 'source', where })) scene.struck();
    }
  },
};

export const BACKEND_KINDS: readonly FaultKind[] = [
  copyingKind(
    'terminate',
    "a session of the source or the destination is ended in mid-COPY by the server's administrator",
  ),
  copyingKind('cancel', 'the COPY of the source or the destination is cancelled at the server'),
  beforeCommit,
  publishing,
  holder,
];
