import { Client } from 'pg';
import { ServiceError, type WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { expect } from 'vitest';
import { holderPrefix } from '../../src/connectors/postgres/snapshot/holders.js';
import type { FailPoint } from '../../src/core/fail-points.js';
import { compareTable } from '../../src/devstack/compare.js';
import type { CleanedRuns } from '../../workflows/clean-runs.js';
import type { JobProgress, JobReport } from '../../workflows/messages.js';
import { OLD_ROWS, ROWS, type Stage } from './fail-point-stage.js';
import { lookUntil } from './failing-workers.js';
import { runSql } from './postgres.js';
import { failureOfWorkflow } from './workflows.js';

type Handle = WorkflowHandleWithFirstExecutionRunId;

/** Something that is done to a job, so that its activities come to points. */
export interface Case {
  /** By workflow, the points at which it is to fail, in the order in which it comes to them. */
  readonly points: Readonly<Record<string, readonly FailPoint[]>>;
  /** Resolves when nothing more has to be done for all points to be reached. */
  start(): Promise<void>;
  /** After all failures: waits for the end and checks it. */
  finish(): Promise<void>;
}

export type Mode = 'replace' | 'append' | 'partition';

export interface Copied {
  readonly table: string;
  readonly mode: Mode;
  /** Default: false. */
  readonly checksum?: boolean;
  readonly rows?: number;
}

const RETRY = { heartbeatTimeout: '5s', initialInterval: '1s', maximumInterval: '2s', maximumCrashes: 100 };

function entry({ table, mode, checksum = false }: Copied): object {
  return {
    ...{ from: table, to: table, partition: { by: ['id'], count: 2 } },
    ...(mode === 'partition' ? { mode: 'append', publish: 'partition' } : { mode }),
    ...(checksum && { verify: 'checksum' }),
  };
}

/** The last partition fails until the table's gate is open. */
function gated(table: string): object {
  const gate = ` AND 1 / (SELECT open FROM public.gate WHERE table_name = '${table}') = 1`;
  const queries = [0, 1].map((n) => ({
    id: `q${n}`,
    sql: `SELECT id, gen, note FROM ${table} WHERE id % 2 = ${n}${n === 1 ? gate : ''}`,
  }));
  return { table, to: table, queries };
}

/** A job at one of the stage's destinations. */
abstract class JobCase implements Case {
  readonly id: string;
  protected handle!: Handle;

  constructor(
    protected readonly stage: Stage,
    protected readonly to: string,
    protected readonly tables: readonly Copied[],
  ) {
    this.id = stage.temporal.unique(to);
  }

  abstract readonly points: Case['points'];
  abstract start(): Promise<void>;
  abstract finish(): Promise<void>;

  protected async begin(job: object, id = this.id): Promise<Handle> {
    const all = {
      ...{ name: this.to, source: 'shop', destination: this.to, parallelism: 100, onFailure: 'wait' },
      ...{ retry: RETRY, tables: this.tables.map(entry), ...job },
    };
    const options = { taskQueue: this.stage.taskQueue, workflowId: id, args: [all] };
    return this.stage.temporal.client.workflow.start('copyJob', options);
  }

  protected async createTables(): Promise<void> {
    await this.stage.createTables(this.tables, this.to);
  }

  protected async parked(): Promise<void> {
    await lookUntil(
      () => this.progress(),
      (progress) => progress?.phase === 'waiting on parked',
    );
  }

  /** Undefined: nobody could answer now, as when the worker that has the workflow in memory was just killed. */
  protected async progress(): Promise<JobProgress | undefined> {
    try {
      return await this.handle.query<JobProgress>('progress');
    } catch (error) {
      if (error instanceof ServiceError) return undefined;
      throw error;
    }
  }

  protected get run(): string {
    return this.handle.firstExecutionRunId;
  }

  protected destination<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return runSql<Row>(this.stage.destinationUrls.get(this.to)!, sql, values);
  }

  /** Every row once, what was there before as the mode says, the target's indexes, and a ledger that adds up. */
  protected async expectCopied(handle = this.handle): Promise<JobReport> {
    const report = (await handle.result()) as JobReport;
    expect(report).toMatchObject({ phase: 'complete' });
    for (const copied of this.tables) {
      const { table, mode, rows = ROWS } = copied;
      const url = this.stage.destinationUrls.get(this.to)!;
      const found = await compareTable(this.stage.sourceUrl, url, table, `(SELECT * FROM ${table} WHERE gen <> 0)`);
      expect({ table, ...found }).toEqual({ table, sourceRows: rows, destinationRows: rows, missing: 0, extra: 0 });
      expect(await this.around(table), table).toEqual({ old: mode === 'replace' ? 0 : OLD_ROWS, indexes: 2 });
      expect(await this.ledger(table), table).toEqual({
        state: 'published',
        partitions: 2,
        receipts: 2,
        rows,
        sum: rows,
      });
    }
    return report;
  }

  protected async around(table: string): Promise<{ old: number; indexes: number }> {
    const [found] = await this.destination<{ old: number; indexes: number }>(
      `SELECT (SELECT count(*)::int FROM ${table} WHERE gen = 0) AS old,
         (SELECT count(*)::int FROM pg_index WHERE indrelid = '${table}'::regclass AND indisvalid) AS indexes`,
    );
    return found!;
  }

  protected async ledger(table: string): Promise<object> {
    const [found] = await this.destination(
      `SELECT t.state, t.partitions::int, t.rows::int, count(r.*)::int AS receipts, sum(r.rows)::int AS sum
       FROM ledger_${this.to}.run_tables t LEFT JOIN ledger_${this.to}.receipts r USING (run, table_name)
       WHERE t.run = $1 AND t.table_name = $2 GROUP BY t.run, t.table_name`,
      [this.run, table],
    );
    return found ?? {};
  }
}

/** A job of many tables, each of which comes to a point of its own. */
export class TablesCase extends JobCase {
  constructor(
    stage: Stage,
    to: string,
    private readonly each: readonly (Copied & { readonly points: readonly FailPoint[] })[],
  ) {
    super(stage, to, each);
  }

  get points(): Case['points'] {
    return Object.fromEntries(this.each.map(({ table, points }) => [`${this.id}/${table}`, points]));
  }

  async start(): Promise<void> {
    await this.createTables();
    this.handle = await this.begin({});
  }

  async finish(): Promise<void> {
    await this.expectCopied();
  }
}

/** A job under a snapshot. */
export class SnapshotCase extends TablesCase {
  constructor(
    stage: Stage,
    private readonly snapshotPoints: readonly FailPoint[],
    to: string,
    /** The table stops as well: it would be done, and holders of no more use, while one of them stands at its point. */
    private readonly stopsTable: boolean,
  ) {
    super(stage, to, [{ table: `s.${to}`, mode: 'replace', points: [] }]);
  }

  override get points(): Case['points'] {
    if (this.snapshotPoints.includes('snapshot: before answer')) return { [this.id]: this.snapshotPoints };
    return {
      [`${this.id}/~snapshot`]: this.snapshotPoints,
      ...(this.stopsTable && { [`${this.id}/s.${this.to}`]: ['prepare: before lock'] }),
    };
  }

  override async start(): Promise<void> {
    await this.createTables();
    this.handle = await this.begin({ consistency: 'snapshot' });
  }
}

/** The opening of a run. */
export class OpenCase extends TablesCase {
  constructor(
    stage: Stage,
    private readonly point: FailPoint,
    to: string,
  ) {
    super(stage, to, [{ table: `s.${to}`, mode: 'replace', points: [point] }]);
  }

  override get points(): Case['points'] {
    return { [this.id]: [this.point] };
  }
}

/** A transaction with an older view is open at the destination until all failures are over. */
export class ReaderCase extends TablesCase {
  #reader!: Client;

  override async start(): Promise<void> {
    await this.createTables();
    this.#reader = new Client({ connectionString: this.stage.destinationUrls.get(this.to)! });
    this.#reader.on('error', () => undefined);
    await this.#reader.connect();
    await this.#reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1');
    this.handle = await this.begin({});
  }

  /** What the old reader sees is as it was, and nothing was published under it. */
  async #expectOld(): Promise<void> {
    for (const { table } of this.tables) {
      const { rows } = await this.#reader.query(
        `SELECT count(*) FILTER (WHERE gen = 0)::int AS old, count(*) FILTER (WHERE gen <> 0)::int AS new FROM ${table}`,
      );
      expect(rows, table).toEqual([{ old: OLD_ROWS, new: 0 }]);
      expect(await this.ledger(table), table).toMatchObject({ state: 'publishing', receipts: 2 });
    }
  }

  override async finish(): Promise<void> {
    await this.#expectOld();
    await this.#reader.end();
    await super.finish();
  }
}

/** A job that stops at its last partition. */
abstract class GatedCase extends JobCase {
  protected readonly table: string;

  constructor(
    stage: Stage,
    protected readonly point: FailPoint,
    to: string,
  ) {
    super(stage, to, [{ table: `s.${to}`, mode: 'replace' }]);
    this.table = `s.${to}`;
  }

  get points(): Case['points'] {
    return { [this.id]: [this.point] };
  }

  protected async beginGated(job: object = {}): Promise<void> {
    await this.createTables();
    this.handle = await this.begin({ tables: [gated(this.table)], ...job });
  }

  /** The target is as it was, and nothing but the ledger's word is left. */
  protected async expectDiscarded(receipts: number): Promise<void> {
    expect(await this.around(this.table)).toEqual({ old: OLD_ROWS, indexes: 2 });
    expect(await this.ledger(this.table)).toMatchObject({ state: 'discarded', receipts });
  }
}

/** The job fails, so that its run is suspended; then it is resumed. */
export class SuspendCase extends GatedCase {
  async start(): Promise<void> {
    await this.beginGated({ onFailure: 'fail' });
  }

  async finish(): Promise<void> {
    await failureOfWorkflow(this.handle);
    expect(await this.ledger(this.table)).toMatchObject({ state: 'suspended', receipts: 1 });
    await this.stage.openGate(this.table);
    const resume = { tables: [gated(this.table)], resume: this.run };
    await this.expectCopied(await this.begin(resume, `${this.id}-again`));
  }
}

/** The job is given up while it waits for a person. */
export class DiscardCase extends GatedCase {
  async start(): Promise<void> {
    await this.beginGated();
    await this.parked();
    await this.handle.signal('discard');
  }

  async finish(): Promise<void> {
    await failureOfWorkflow(this.handle);
    await this.expectDiscarded(1);
  }
}

/** The job is terminated, and its run cleaned away. */
export class CleanCase extends GatedCase {
  readonly #cleaning = `${this.id}-clean`;
  #clean!: Handle;

  override get points(): Case['points'] {
    return { [this.#cleaning]: [this.point] };
  }

  async start(): Promise<void> {
    await this.beginGated();
    await this.parked();
    await this.handle.terminate();
    const args = [{ destination: this.to, runs: [this.run], forget: true }];
    const options = { taskQueue: this.stage.taskQueue, workflowId: this.#cleaning, args };
    this.#clean = await this.stage.temporal.client.workflow.start('cleanRuns', options);
  }

  async finish(): Promise<void> {
    expect((await this.#clean.result()) as CleanedRuns).toEqual({ left: [] });
    await this.expectDiscarded(0);
  }
}

/** Nobody holds the job's snapshot any more, while it waits for a person: it starts over under the next, with an open gate. */
export class StartOverCase extends GatedCase {
  async start(): Promise<void> {
    await this.beginGated({ consistency: 'snapshot' });
    await this.parked();
    await this.stage.openGate(this.table);
    const endHolders = async () => {
      await this.#endHolders();
      return this.progress();
    };
    await lookUntil(endHolders, (progress) => progress?.snapshot?.state === 'lost');
    await this.handle.executeUpdate('retry', { args: [{}] });
  }

  #endHolders(): Promise<unknown> {
    return runSql(
      this.stage.sourceUrl,
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(application_name, $1)',
      [holderPrefix({ run: this.run, snapshot: 1 })],
    );
  }

  async finish(): Promise<void> {
    expect((await this.expectCopied()).snapshot).toMatchObject({ number: 2, restarts: 1 });
  }
}
