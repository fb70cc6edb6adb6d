import pg from 'pg';
import { tableIds } from '../attempts.js';
import type { FaultKind } from '../kind.js';
import { LogTail } from '../log.js';
import { states } from '../look.js';
import type { Scene } from '../scene.js';
import { Standby } from '../standby.js';
import { withClient, type Database, type Side } from '../stack.js';
import { SIDES, slowSource } from './links.js';

/** What happens to the Postgres servers. */

/** Starts a server that a kind has left crashed. */
async function upAgain({ stack }: Scene): Promise<void> {
  for (const side of SIDES) {
    const database = stack.database(side);
    await database.query('SELECT 1').catch(() => database.startAgain());
  }
}

function crashKind(side: Side): FaultKind {
  return {
    name: `${side}-crash`,
    about: `the ${side}'s Postgres is stopped with immediate in mid-COPY, and started again`,
    shape: { verify: 'counts' },
    async run(scene) {
      const database = scene.stack.database(side);
      await scene.start(slowSource(scene));
      for (let times = scene.times(1, 2); times > 0; times--) {
        if (!(await scene.untilCopying(scene.random.next() / 2))) break;
        await scene.moment(500);
        const hit = await scene.until(() => database.proxy.copying.length > 0, 5_000);
        const log = await LogTail.begin(database.logFile);
        await database.crash();
        await scene.moment(500);
        await database.startAgain();
        if (hit && (await log.count(/automatic recovery in progress/)) > 0) scene.struck();
      }
    },
    cleanUp: upAgain,
  };
}

const standbys = new WeakMap<Scene, Standby>();

const promoted: FaultKind = {
  name: 'standby-promoted',
  about: 'the destination fails over to an asynchronous standby that lacks the last commits',
  shape: { partitions: 10, parallelism: 2 },
  async run(scene) {
    const { destination } = scene.stack;
    const standby = await Standby.of(destination);
    standbys.set(scene, standby);
    await scene.start();
    if (!(await scene.until(() => prepared(scene)))) return;
    if (!(await scene.untilCopying(scene.random.next() / 3))) return;
    standby.cutOff();
    const [behind] = await standby.query<{ n: number }>(RECEIPTS, [scene.run]);
    const lost = scene.random.int(1, 3);
    if (!(await scene.until(async () => (await inHistory(scene)) >= behind!.n + lost))) return;
    const known = await inHistory(scene);
    await standby.takeOver();
    const [has] = await destination.query<{ n: number }>(RECEIPTS, [scene.run]);
    if (has!.n < known) scene.struck();
  },
  async cleanUp(scene) {
    await standbys.get(scene)?.discard();
    await upAgain(scene);
  },
};

const publicationLost: FaultKind = {
  name: 'standby-promoted-published',
  about:
    'the destination fails over to a standby that lacks the publication of a table, while another table of the job is copied',
  shape: { tables: 2, mode: 'replace', publish: 'table' },
  async run(scene) {
    const { destination } = scene.stack;
    const standby = await Standby.of(destination);
    standbys.set(scene, standby);
    // The second is not published before the failover ends this session.
    const [first, second] = scene.tables;
    const client = await openOwn(scene, destination);
    await client.query(`BEGIN; LOCK TABLE ${second!} IN ACCESS SHARE MODE`);
    await scene.start();
    if (!(await scene.until(() => prepared(scene)))) return;
    if (!(await scene.untilCopying(scene.random.next()))) return;
    standby.cutOff();
    const told = async () => (await tableOf(scene, first!)) === 'published';
    if (!(await scene.until(told, 60_000))) return;
    await standby.takeOver();
    if ((await states(scene))[0] !== 'published') scene.struck();
  },
  async cleanUp(scene) {
    await endOwn(scene);
    await standbys.get(scene)?.discard();
    await upAgain(scene);
  },
};

/** The table's phase as the job knows it. */
async function tableOf(scene: Scene, table: string): Promise<string | undefined> {
  const { tables } = await scene.progress();
  return tables.find((each) => each.table === table)?.phase;
}

const RECEIPTS = 'SELECT count(*)::int AS n FROM longhaul.receipts WHERE run = $1';

/** Every table has its staging and its plan. */
async function prepared({ stack, run, tables }: Scene): Promise<boolean> {
  const sql = 'SELECT count(DISTINCT table_name)::int AS n FROM longhaul.plan_pages WHERE run = $1';
  const [found] = await stack.destination.query<{ n: number }>(sql, [run]).catch(() => []);
  return found?.n === tables.length;
}

/** Partitions that the workflows of the tables know to be committed. */
async function inHistory(scene: Scene): Promise<number> {
  let sum = 0;
  for (const id of tableIds(scene)) {
    const child = scene.stack.client.workflow.getHandle(id);
    const progress = await child.query<{ committed: number }>('progress').catch(() => undefined);
    sum += progress?.committed ?? 0;
  }
  return sum;
}

/** Sessions that the harness opens itself, by scene; ended by the kind or after it. */
const own = new WeakMap<Scene, pg.Client[]>();

async function openOwn(scene: Scene, database: Database): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url(), application_name: 'chaos' });
  client.on('error', () => undefined);
  await client.connect();
  own.set(scene, [...(own.get(scene) ?? []), client]);
  return client;
}

async function endOwn(scene: Scene): Promise<void> {
  await Promise.all((own.get(scene) ?? []).map((client) => client.end()));
  own.delete(scene);
}

const tooMany: FaultKind = {
  name: 'too-many-connections',
  about: "others have taken all of a server's connections for some seconds",
  async run(scene) {
    await scene.start();
    const database = scene.stack.database(scene.random.pick(SIDES));
    if (!(await scene.untilCopying(scene.random.next() / 2))) return;
    const log = await LogTail.begin(database.logFile);
    const refused = () => log.count(/FATAL:  sorry, too many clients already/);
    await fill(scene, database);
    const own = await refused();
    // Places that get free are those of the job's own sessions: they are taken too.
    const met = await scene.until(async () => {
      await fill(scene, database);
      return (await scene.logged(/too many clients already/)) > 0;
    }, 8_000);
    if (met && (await refused()) > own) scene.struck();
    if (met) await scene.moment();
    await endOwn(scene);
  },
  cleanUp: endOwn,
};

/** Opens sessions until the server has none left. */
async function fill(scene: Scene, database: Database): Promise<void> {
  for (;;) {
    // All of them: one that connects later than it is looked at would stay for the next job.
    const opened = await Promise.allSettled(Array.from({ length: 10 }, () => openOwn(scene, database)));
    if (opened.some(({ status }) => status === 'rejected')) return;
  }
}

/** Sessions of the job that wait for the one with this pid. */
const WAITING = `SELECT pid FROM pg_stat_activity
  WHERE application_name ^@ 'longhaul' AND $1::int = ANY (pg_blocking_pids(pid))`;

const pidOf = async (client: pg.Client) =>
  (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;

async function waitFor(scene: Scene, client: pg.Client, within: number): Promise<boolean> {
  const pid = await pidOf(client);
  return scene.until(async () => (await scene.stack.destination.query(WAITING, [pid])).length > 0, within);
}

const targetLocked: FaultKind = {
  name: 'target-locked',
  about: 'somebody has a lock on the target for some seconds while it is to be published',
  shape: { mode: 'replace', publish: 'table' },
  async run(scene) {
    const { random } = scene;
    const client = await openOwn(scene, scene.stack.destination);
    await scene.start();
    for (const table of scene.tables) {
      await client.query(
        `BEGIN; LOCK TABLE ${table} IN ${random.pick(['ACCESS SHARE', 'ROW EXCLUSIVE', 'SHARE'])} MODE`,
      );
      const met = await waitFor(scene, client, 40_000);
      if (met) await scene.moment(4_000);
      await client.query('ROLLBACK');
      if (met) scene.struck();
    }
  },
  cleanUp: endOwn,
};

const deadlock: FaultKind = {
  name: 'deadlock',
  about: "the publishing session waits for somebody who waits for it, and is the server's victim",
  shape: { mode: 'replace', publish: 'table', tables: 1 },
  async run(scene) {
    const { destination } = scene.stack;
    const client = await openOwn(scene, destination);
    const log = await LogTail.begin(destination.logFile);
    await scene.start();
    // Never the victim: the other looks for a deadlock long before.
    await client.query(`SET deadlock_timeout = '60s'`);
    for (let times = scene.times(1, 2); times > 0; times--) {
      const before = await log.count(/ERROR:  deadlock detected/);
      await client.query(`BEGIN; LOCK TABLE ${scene.tables[0]!} IN ACCESS SHARE MODE`);
      if (await waitFor(scene, client, 40_000)) {
        // Its row is locked by the session that waits for the target.
        await client.query(`SELECT FROM longhaul.run_tables WHERE run = '${scene.run}' FOR UPDATE`);
        if ((await log.count(/ERROR:  deadlock detected/)) > before) scene.struck();
      }
      await client.query('ROLLBACK');
    }
  },
  cleanUp: endOwn,
};

const isolation: FaultKind = {
  name: 'isolation-default',
  about: 'the databases begin every transaction as REPEATABLE READ or SERIALIZABLE unless told otherwise',
  async run(scene) {
    const level = scene.random.pick(['repeatable read', 'serializable']);
    for (const side of SIDES) {
      await scene.stack.database(side).query(`ALTER DATABASE chaos SET default_transaction_isolation = '${level}'`);
    }
    const since = new Date();
    await scene.start();
    for (const side of SIDES) {
      const database = scene.stack.database(side);
      const begun = () =>
        database.query(
          `SELECT FROM pg_stat_activity WHERE application_name ^@ 'longhaul' AND backend_start > $1 AND datname = 'chaos'
             AND xact_start IS NOT NULL`,
          [since],
        );
      const sees = await database.query<{ level: string }>(
        `SELECT current_setting('default_transaction_isolation') AS level`,
      );
      if (sees[0]?.level === level && (await scene.until(async () => (await begun()).length > 0))) scene.struck();
    }
    // To the end: what the kind has set is reset after the job.
    await scene.until(() => scene.hasEnded(), 60_000);
  },
  async cleanUp({ stack }) {
    for (const side of SIDES) {
      await stack.database(side).query('ALTER DATABASE chaos RESET default_transaction_isolation');
    }
  },
};

const tempFiles: FaultKind = {
  name: 'temp-file-limit',
  about: "the destination's server has no room for what an index build sorts, until somebody makes some",
  shape: { mode: 'replace', publish: 'table', rows: 8_000 },
  async run(scene) {
    const { destination } = scene.stack;
    await limitTempFiles(destination, true);
    const log = await LogTail.begin(destination.logFile);
    await scene.start();
    const full = async () => (await log.count(/temporary file size exceeds/)) > 0;
    if (await scene.until(full, 60_000)) scene.struck();
    await scene.moment();
  },
  cleanUp: ({ stack }) => limitTempFiles(stack.destination, false),
};

async function limitTempFiles(database: Database, limited: boolean): Promise<void> {
  await withClient(database.url(), async (client) => {
    for (const [name, value] of Object.entries({ temp_file_limit: '64kB', maintenance_work_mem: '64kB' })) {
      await client.query(limited ? `ALTER SYSTEM SET ${name} = '${value}'` : `ALTER SYSTEM RESET ${name}`);
    }
    await client.query('SELECT pg_reload_conf()');
  });
}

export const SERVER_KINDS: readonly FaultKind[] = [
  crashKind('source'),
  crashKind('destination'),
  promoted,
  publicationLost,
  tooMany,
  targetLocked,
  deadlock,
  isolation,
  tempFiles,
];
