import { runPrefix } from '../../../src/connectors/postgres/snapshot/holders.js';
import type { FaultKind } from '../kind.js';
import type { Scene } from '../scene.js';
import { withClient } from '../stack.js';
import { MET_WITHIN } from './links.js';

/** What others do to the source while it is copied. */

/** What a run says whose source is not what its plan was made for. */
const CHANGED = /The source of \S+ changed since it was planned/;

/** A copy of each table as it is now, to compare with. */
async function keepBefore({ stack, tables }: Scene): Promise<(table: string) => string> {
  for (const table of tables) await stack.source.query(`CREATE TABLE ${table}_before AS SELECT * FROM ${table}`);
  return (table) => `${table}_before`;
}

/** Partitions of this table that are left to be committed. */
async function left({ stack, run }: Scene, table: string): Promise<number> {
  const [found] = await stack.destination.query<{ left: number }>(
    `SELECT t.partitions - (SELECT count(*) FROM longhaul.receipts r WHERE r.run = t.run AND r.table_name = t.table_name)::int AS left
     FROM longhaul.run_tables t WHERE t.run = $1 AND t.table_name = $2`,
    [run, table],
  );
  return found?.left ?? 0;
}

/** Rows of this table's receipts. */
async function committedRows({ stack, run }: Scene, table: string): Promise<number> {
  const [found] = await stack.destination.query<{ rows: number }>(
    'SELECT coalesce(sum(rows), 0)::int AS rows FROM longhaul.receipts WHERE run = $1 AND table_name = $2',
    [run, table],
  );
  return found!.rows;
}

/** The job copies this table, has copied a part of it, and has to go on for a while. */
function inMidCopy(scene: Scene, table: string): Promise<boolean> {
  const some = async () => {
    const rest = await left(scene, table).catch(() => 0);
    return rest > 0 && rest < scene.shape.partitions;
  };
  return scene.until(some, 40_000);
}

const truncate: FaultKind = {
  name: 'source-truncate',
  about: 'the source is truncated in mid-copy: what is read later has no rows, and what was read before stays',
  shape: { consistency: 'per-partition', writes: false, publish: 'table' },
  async run(scene) {
    const { source } = scene.stack;
    const rows = await keepBefore(scene);
    scene.expected = { rows };
    const atLeast = new Map<string, number>();
    await scene.start();
    for (const table of scene.tables) {
      if (!(await inMidCopy(scene, table))) continue;
      // What is committed before the TRUNCATE may not go with it.
      atLeast.set(table, await committedRows(scene, table));
      scene.expected = { rows, atLeast };
      await source.query(`TRUNCATE ${table}`);
      if ((await left(scene, table)) > 0) scene.struck();
    }
  },
};

/** What a statement has met: its lock, a holder of the job's snapshot in its way, or somebody else. */
type Met = 'done' | 'held off' | 'refused';

/** The session waits for a holder of the run's snapshot: its name begins with $2. */
const HELD_OFF = `SELECT FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1)) AND application_name ^@ $2`;

/** Of a statement that gives up soon, since those that read queue behind it. */
async function tryFor(scene: Scene, sql: string): Promise<Met> {
  const { source } = scene.stack;
  return withClient(source.url(), async (client) => {
    await client.query(`SET lock_timeout = '1500ms'`);
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const asked = client.query(sql).then(
      () => 'done' as const,
      (error: unknown) => {
        if ((error as { code?: string }).code === '55P03') return 'refused' as const;
        throw error;
      },
    );
    const look = async () => (await source.query(HELD_OFF, [rows[0]!.pid, runPrefix(scene.run)])).length > 0;
    const [met, heldOff] = await Promise.all([asked, scene.until(look, 1_400)]);
    return met === 'refused' && heldOff ? 'held off' : met;
  });
}

const vacuumFull: FaultKind = {
  name: 'source-vacuum-full',
  about: 'VACUUM FULL rewrites the source in mid-copy; a snapshot keeps it from doing so',
  async run(scene) {
    const { random } = scene;
    await scene.start();
    for (let times = scene.times(1, 3); times > 0; times--) {
      const table = random.pick(scene.tables);
      if (!(await inMidCopy(scene, table))) continue;
      const met = await tryFor(scene, `VACUUM FULL ${table}`);
      const wanted = scene.shape.consistency === 'snapshot' ? 'held off' : 'done';
      if (met === wanted && (await left(scene, table)) > 0) scene.struck();
      await scene.moment(500);
    }
  },
};

const alterType: FaultKind = {
  name: 'source-alter-type',
  about: "a column's type is changed in mid-copy: the job fails and says so",
  shape: { consistency: 'per-partition', writes: false, publish: 'table' },
  async run(scene) {
    scene.expected = { fails: CHANGED };
    await scene.start();
    const table = scene.random.pick(scene.tables);
    if (!(await inMidCopy(scene, table))) return;
    await scene.stack.source.query(`ALTER TABLE ${table} ALTER COLUMN touched TYPE bigint`);
    if ((await left(scene, table)) === 0) return;
    scene.expected = { fails: CHANGED, mustFail: true };
    scene.struck();
  },
};

const leafAttached: FaultKind = {
  name: 'leaf-attached',
  about:
    'a new leaf with rows is attached to the source in mid-copy: the job fails and says so, or its snapshot is older',
  shape: { leaves: true, publish: 'table' },
  async run(scene) {
    const { consistency, rows } = scene.shape;
    scene.expected = { fails: CHANGED, rows: await keepBefore(scene) };
    await scene.start();
    const table = scene.random.pick(scene.tables);
    if (!(await inMidCopy(scene, table))) return;
    await scene.stack.source.query(
      `CREATE TABLE ${table}_more (LIKE ${table} INCLUDING ALL);
       INSERT INTO ${table}_more (id, gen) SELECT n, 1 FROM generate_series(${2 * rows}, ${3 * rows - 1}) n;
       ALTER TABLE ${table} ATTACH PARTITION ${table}_more FOR VALUES FROM (${2 * rows}) TO (${3 * rows})`,
    );
    if ((await left(scene, table)) === 0) return;
    scene.struck();
    scene.expected = consistency === 'snapshot' ? {} : { fails: CHANGED, mustFail: true };
  },
};

const beyondMaximum: FaultKind = {
  name: 'row-beyond-maximum',
  about: 'rows come behind the greatest key that was planned, before the last partition is read',
  shape: { consistency: 'per-partition', writes: false },
  async run(scene) {
    const { source } = scene.stack;
    const { rows } = scene.shape;
    const atLeast = new Map<string, number>();
    scene.expected = { atLeast };
    await scene.start();
    for (const table of scene.tables) {
      if (!(await scene.until(async () => (await left(scene, table).catch(() => 0)) > 0, 40_000))) return;
      if (await lastBegun(scene, table)) continue;
      const more = scene.random.int(1, 200);
      await source.query(
        `INSERT INTO ${table} (id, gen, note) SELECT ${2 * rows} + n, 1, 'late' FROM generate_series(1, ${more}) n`,
      );
      // Those that came too late may be missing, and no others.
      if (await lastBegun(scene, table)) atLeast.set(table, rows);
      else scene.struck();
    }
  },
};

/** The last partition is open above. It has a receipt, or a session that may have its snapshot by now. */
async function lastBegun({ stack, run }: Scene, table: string): Promise<boolean> {
  const [plan] = await stack.destination.query<{ partitions: number; committed: boolean }>(
    `SELECT t.partitions::int, EXISTS (SELECT FROM longhaul.receipts r
       WHERE r.run = t.run AND r.table_name = t.table_name AND r.partition = t.partitions - 1) AS committed
     FROM longhaul.run_tables t WHERE t.run = $1 AND t.table_name = $2`,
    [run, table],
  );
  if (plan === undefined || plan.committed) return true;
  const sql = 'SELECT FROM pg_stat_activity WHERE application_name = $1';
  return (await stack.source.query(sql, [`longhaul ${table} ${plan.partitions}`])).length > 0;
}

const statistics: FaultKind = {
  name: 'statistics-change',
  about: 'a job is cancelled, its source grows and is analyzed, and it is resumed on the plan that it had',
  shape: { consistency: 'per-partition', writes: false, publish: 'table' },
  async run(scene) {
    await scene.start();
    const first = scene.random.pick(scene.tables);
    if (!(await inMidCopy(scene, first))) return;
    await scene.handle.cancel();
    await scene.until(() => scene.hasEnded());
    const before = await planAndStatistics(scene, first);
    if (before !== undefined && !(await lastBegun(scene, first))) {
      await grow(scene, first);
      const after = await planAndStatistics(scene, first);
      if (after!.statistics !== before.statistics) scene.struck();
    }
    await scene.start({ resume: scene.run });
    await scene.until(() => scene.hasEnded(), 60_000);
    const last = await planAndStatistics(scene, first);
    if (last?.plan !== before?.plan) throw new Error(`the resumed run has another plan of ${first}`);
  },
};

async function grow({ stack, shape: { rows } }: Scene, table: string): Promise<void> {
  await stack.source.query(
    `INSERT INTO ${table} (id, gen, note) SELECT ${rows} + n * 3, 1, 'grown' FROM generate_series(1, ${rows}) n;
     DELETE FROM ${table} WHERE id > ${rows} AND id % 7 = 0; ANALYZE ${table}`,
  );
}

/** Undefined before there is a plan. */
async function planAndStatistics({ stack, run }: Scene, table: string) {
  const [plan] = await stack.destination.query<{ plan: string | null }>(
    `SELECT md5(string_agg(p::text, '' ORDER BY page)) AS plan FROM longhaul.plan_pages p WHERE run = $1 AND table_name = $2`,
    [run, table],
  );
  const [schema, name] = table.split('.');
  const [found] = await stack.source.query<{ statistics: string }>(
    `SELECT md5(histogram_bounds::text) AS statistics FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = 'id'`,
    [schema, name],
  );
  return plan?.plan ? { plan: plan.plan, statistics: found?.statistics } : undefined;
}

const REWRITES = ['TRUNCATE', 'VACUUM FULL', 'ALTER'] as const;

const rewritten: FaultKind = {
  name: 'snapshot-rewritten',
  about:
    'a TRUNCATE, VACUUM FULL or ALTER TYPE waits for the snapshot, all whose holders are then ended: the job starts over',
  shape: { consistency: 'snapshot', onSnapshotLost: 'restart', publish: 'table', writes: true },
  async run(scene) {
    const how = scene.random.pick(REWRITES);
    const table = scene.random.pick(scene.tables);
    if (how === 'ALTER') scene.expected = { fails: CHANGED };
    await scene.start();
    if (!(await inMidCopy(scene, table))) return;
    const sql = how === 'ALTER' ? `ALTER TABLE ${table} ALTER COLUMN seen TYPE timestamp` : `${how} ${table}`;
    const [done, ended] = await Promise.all([rewrite(scene, sql), endHolders(scene)]);
    if (!done || !ended || (await left(scene, table)) === 0) return;
    scene.struck();
    if (how === 'ALTER') scene.expected = { fails: CHANGED, mustFail: true };
  },
};

/** Answers whether it got its lock. */
function rewrite({ stack }: Scene, sql: string): Promise<boolean> {
  return withClient(stack.source.url(), async (client) => {
    await client.query(`SET application_name = 'rewriter'; SET lock_timeout = '20s'`);
    return client.query(sql).then(
      () => true,
      () => false,
    );
  });
}

/** Ends all holders once the rewriting waits for one of them. Answers whether there were any. */
function endHolders(scene: Scene): Promise<boolean> {
  const sql = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ^@ $1 AND EXISTS (
    SELECT FROM pg_stat_activity w WHERE w.application_name = 'rewriter' AND pg_blocking_pids(w.pid) && ARRAY(
      SELECT h.pid FROM pg_stat_activity h WHERE h.application_name ^@ $1))`;
  return scene.until(async () => (await scene.stack.source.query(sql, [runPrefix(scene.run)])).length > 0, MET_WITHIN);
}

export const SOURCE_KINDS: readonly FaultKind[] = [
  truncate,
  vacuumFull,
  alterType,
  leafAttached,
  beyondMaximum,
  statistics,
  rewritten,
];
