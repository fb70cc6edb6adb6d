import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FailurePlan } from '../chaos/failure-plan.js';
import { FailingProcesses, type FailingWorker } from './failing-workers.js';
import { runSql, type TestPostgres } from './postgres.js';
import type { TestTemporal } from './temporal.js';

/** Rows of a target from before the job are told from the job's own by `gen` 0. */
export const OLD_ROWS = 10;

/** Rows of a source, in two partitions. */
export const ROWS = 1_000;

/** Databases, connections to them and worker processes that fail by plan. A ledger is a schema of its own in the warehouse. */
export class Stage {
  private constructor(
    readonly temporal: TestTemporal,
    readonly taskQueue: string,
    readonly sourceUrl: string,
    /** By connection. */
    readonly destinationUrls: ReadonlyMap<string, string>,
    private readonly folder: string,
    private readonly processes: FailingProcesses,
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
    const stage = new Stage(
      temporal,
      temporal.unique('points'),
      sourceUrl,
      urls,
      folder,
      new FailingProcesses(folder, temporal.address),
    );
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
  startWorker(workflows?: FailurePlan['workflows']): Promise<FailingWorker> {
    return this.processes.start(workflows);
  }

  log(): Promise<string> {
    return this.processes.log();
  }

  async stopWorkers(): Promise<void> {
    await this.processes.stop();
  }

  async stop(): Promise<void> {
    await this.stopWorkers();
    await rm(this.folder, { recursive: true, force: true });
  }
}
