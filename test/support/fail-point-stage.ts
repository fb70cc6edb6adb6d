import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';
import { writeFailurePlan, type FailurePlan } from '../chaos/failure-plan.js';
import { runSql, type TestPostgres } from './postgres.js';
import type { TestTemporal } from './temporal.js';

/** Rows of a target from before the job are told from the job's own by `gen` 0. */
export const OLD_ROWS = 10;

/** Rows of a source, in two partitions. */
export const ROWS = 1_000;

/** Databases, connections to them and worker processes that fail by plan. A ledger is a schema of its own in the warehouse. */
export class Stage {
  readonly #started: Supervised[] = [];
  #plans = 0;

  private constructor(
    readonly temporal: TestTemporal,
    readonly taskQueue: string,
    readonly sourceUrl: string,
    /** By connection. */
    readonly destinationUrls: ReadonlyMap<string, string>,
    private readonly folder: string,
  ) {}

  /** `connections` to a warehouse, each with a ledger of its own: those of a list share a database. */
  static async make(
    name: string,
    servers: { source: TestPostgres; destination: TestPostgres; temporal: TestTemporal },
    connections: readonly (readonly string[])[],
  ): Promise<Stage> {
    const { source, destination, temporal } = servers;
    const sourceUrl = await source.createDatabase(`${name}_shop`);
    const urls = new Map<string, string>();
    for (const [index, shared] of connections.entries()) {
      const url = await destination.createDatabase(`${name}_dw_${index + 1}`);
      for (const connection of shared) urls.set(connection, url);
    }
    for (const url of [sourceUrl, ...new Set(urls.values())]) await runSql(url, 'CREATE SCHEMA s');
    await runSql(sourceUrl, 'CREATE TABLE gate (table_name text PRIMARY KEY, open int NOT NULL)');
    const folder = await mkdtemp(join(tmpdir(), 'longhaul-points-'));
    const stage = new Stage(temporal, temporal.unique('points'), sourceUrl, urls, folder);
    await writeFile(join(folder, 'longhaul.yaml'), stage.#config());
    return stage;
  }

  #config(): string {
    const destinations = [...this.destinationUrls].map(
      ([name, url]) => `  ${name}: {type: postgres, url: "${url}", maxSessions: 120, ledgerSchema: ledger_${name}}\n`,
    );
    return `connections:
  shop: {type: postgres, url: "${this.sourceUrl}", maxSessions: 120}
${destinations.join('')}worker: {taskQueue: ${this.taskQueue}, maxConcurrentPartitions: 200, shutdownGrace: 5s, logLevel: info}
`;
  }

  /** Sources that are full, and targets with an index that hold something older. */
  async createTables(tables: readonly { readonly table: string; readonly rows?: number }[], to: string): Promise<void> {
    const columns = '(id int PRIMARY KEY, gen int NOT NULL, note text)';
    const sources = tables.map(
      ({ table, rows = ROWS }) => `CREATE TABLE ${table} ${columns}; INSERT INTO gate VALUES ('${table}', 0);
       INSERT INTO ${table} SELECT n, 1, repeat(md5(n || '${table}'), 6) FROM generate_series(1, ${rows}) n; ANALYZE ${table};`,
    );
    const targets = tables.map(
      ({ table }) => `CREATE TABLE ${table} ${columns}; CREATE INDEX ON ${table} (note);
       INSERT INTO ${table} SELECT -n, 0, 'old' FROM generate_series(1, ${OLD_ROWS}) n;`,
    );
    await Promise.all([
      runSql(this.sourceUrl, sources.join('\n')),
      runSql(this.destinationUrls.get(to)!, targets.join('\n')),
    ]);
  }

  openGate(table: string): Promise<unknown> {
    return runSql(this.sourceUrl, 'UPDATE gate SET open = 1 WHERE table_name = $1', [table]);
  }

  /** A worker process; with failures, one that kills itself. Resolves when it was started. */
  async startWorker(workflows?: FailurePlan['workflows']): Promise<FailingWorker> {
    const number = ++this.#plans;
    const told = join(this.folder, `told-${number}`);
    const plan = join(this.folder, `plan-${number}.json`);
    await writeFile(told, '');
    if (workflows) writeFailurePlan(plan, { workflows, told });
    const env = {
      ...process.env,
      TEMPORAL_ADDRESS: this.temporal.address,
      ...(workflows && { LONGHAUL_TEST_FAILURES: plan }),
    };
    const options = { cwd: this.folder, env, stopSignal: 'SIGTERM', graceMs: 15_000 } as const;
    const args = [resolve('dist/test/chaos/worker.js'), join(this.folder, 'longhaul.yaml')];
    const logFile = join(this.folder, 'worker.log');
    const supervised = await spawnSupervised(process.execPath, args, { ...options, logFile });
    this.#started.push(supervised);
    return new FailingWorker(supervised, workflows ?? {}, told);
  }

  log(): Promise<string> {
    return readFile(join(this.folder, 'worker.log'), 'utf8');
  }

  async stopWorkers(): Promise<void> {
    await Promise.all(this.#started.map((worker) => worker.stop()));
  }

  async stop(): Promise<void> {
    await this.stopWorkers();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Looks again and again, with pauses: many wait at the same time, and what they ask takes the machine's time from what they wait for. */
export async function lookUntil<T>(look: () => Promise<T>, isEnough: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look();
    if (isEnough(seen)) return seen;
    await sleep(LOOK_EVERY);
  }
}

const LOOK_EVERY = 500;

export class FailingWorker {
  constructor(
    private readonly supervised: Supervised,
    private readonly workflows: FailurePlan['workflows'],
    private readonly told: string,
  ) {}

  /**
   * Resolves when all has failed as planned, and the process has killed itself. Rejects naming what was not reached within `limit`
   * milliseconds.
   */
  async crashed(limit: number): Promise<void> {
    const deadline = Date.now() + limit;
    const left = await lookUntil(
      () => this.#left(),
      (each) => each.length === 0 || Date.now() > deadline,
    );
    if (left.length > 0) throw new Error(`never reached:\n${left.join('\n')}`);
    const { signal } = await this.supervised.exited;
    if (signal !== 'SIGKILL') throw new Error(`the worker ended by ${signal}`);
  }

  /** Where what happened, in order. */
  async met(): Promise<{ readonly point: string; readonly how: 'lost its connection' | 'crashed' }[]> {
    const met = new Set<string>();
    const lines = (await readFile(this.told, 'utf8')).trim().split('\n');
    return lines.map((line) => {
      const [id = '', point = ''] = line.split('\t');
      const crashed = met.has(id) || this.workflows[id]?.disconnect === undefined;
      met.add(id);
      return { point, how: crashed ? 'crashed' : 'lost its connection' };
    });
  }

  async #left(): Promise<string[]> {
    const lines = (await readFile(this.told, 'utf8')).split('\n').map((line) => line.split('\t')[0]);
    return Object.entries(this.workflows).flatMap(([id, { disconnect, stop }]) => {
      const wanted = disconnect === undefined ? [stop] : [disconnect, stop];
      return wanted.slice(lines.filter((each) => each === id).length).map((point) => `${point} (${id})`);
    });
  }
}
