import { pythonWith, DELTA_RS } from '../../support/python.js';
import type { Receipt } from '../../../src/core/model.js';
import { ROOT } from '../../../src/connectors/lake/ledger/index.js';
import type { CleanedRuns } from '../../../workflows/clean-runs.js';
import type { Lake } from '../lakes.js';
import type { Link } from '../proxy.js';
import type { Read } from '../readers.js';
import type { Scene } from '../scene.js';
import { columnsOf, OLD_ROWS, oldRows } from '../tables.js';
import { readLake } from './lake-reader.js';
import type { LedgerTable, Target } from './target.js';

/** Tables of a lake. */
export class LakeTarget implements Target {
  readonly reads: Read[] = [];
  #orphans: readonly string[] = [];
  /** Of the job that has filled it. */
  #filledBy: string | undefined;

  constructor(
    private readonly scene: Scene,
    readonly connection: Lake,
  ) {}

  get #lakes() {
    return this.scene.stack.lakes!;
  }

  get copying(): readonly Link[] {
    return this.scene.stack.source.proxy.copying;
  }

  /** By a job that nothing strikes. */
  async fill(): Promise<void> {
    const { stack, name, tables, before } = this.scene;
    for (const table of tables) await stack.destination.query(`CREATE TABLE ${table} ${columnsOf('')}`);
    if (before === 0) return;
    for (const table of tables)
      await stack.source.query(
        `CREATE TABLE ${table}_before ${columnsOf('')}; INSERT INTO ${table}_before ${oldRows(OLD_ROWS)}`,
      );
    const job = { name: `${name}-before`, source: 'source', destination: this.connection };
    const entries = tables.map((table) => ({ from: `${table}_before`, to: table }));
    const handle = await stack.client.workflow.start('copyJob', {
      ...{ taskQueue: stack.taskQueue, workflowId: `${name}-before` },
      args: [{ ...job, tables: entries }],
    });
    await handle.result();
    this.#filledBy = handle.firstExecutionRunId;
  }

  async committed(run: string): Promise<number> {
    return (await this.#receiptPaths(run).catch(() => [])).length;
  }

  async #receiptPaths(run: string): Promise<string[]> {
    await using store = await this.#lakes.store(this.connection);
    const found: string[] = [];
    for await (const page of store.list(`${ROOT}/runs/${run}/tables/`))
      found.push(...page.map(({ path }) => path).filter((path) => path.includes('/receipts/')));
    return found;
  }

  async ledger(run: string): Promise<readonly LedgerTable[]> {
    await using session = await this.#lakes.session(this.connection);
    const [found] = await session.ledger.runs({ run, sizes: false });
    const receipts = await this.#receipts(run);
    return await Promise.all(
      (found?.tables ?? []).map(async ({ spec, state, partitions, rows }) => {
        const { snapshot } = await session.ledger.table(run, spec.table);
        const own = receipts.filter(({ of }) => of === `${spec.table}/${snapshot ?? 0}`);
        return {
          ...{ table: spec.table, state, receipts: own.length },
          ...{ skipped: own.filter((each) => each.state === 'skipped').length, sum: sumOf(own) },
          ...(snapshot !== undefined && { snapshot }),
          ...(partitions !== undefined && { partitions }),
          ...(state === 'published' && { rows }),
        };
      }),
    );
  }

  /** As they lie in the store, with their table and snapshot. */
  async #receipts(run: string): Promise<(Receipt & { readonly of: string })[]> {
    const paths = await this.#receiptPaths(run);
    await using store = await this.#lakes.store(this.connection);
    return await Promise.all(
      paths.map(async (path) => {
        const { receipt } = JSON.parse(Buffer.from((await store.get(path))!).toString()) as { receipt: Receipt };
        return { ...receipt, of: path.split('/').slice(4, 6).join('/') };
      }),
    );
  }

  /** As a person does whose jobs are over: what is not named after it, nobody will ever remove. */
  async clean(): Promise<string[]> {
    const runs: string[] = [];
    await using session = await this.#lakes.session(this.connection);
    for (const run of this.#runs) if ((await session.ledger.runs({ run, sizes: false })).length > 0) runs.push(run);
    const input = { destination: this.connection, runs, forget: true };
    const { left } = (await this.scene.stack.run('cleanRuns', input)) as CleanedRuns;
    return left.map(({ because }) => `clean: ${because}`);
  }

  get #runs(): Set<string> {
    return new Set([...(this.#filledBy === undefined ? [] : [this.#filledBy]), ...this.scene.runs]);
  }

  async look(): Promise<void> {
    const { stack, tables } = this.scene;
    const found = await readLake(await pythonWith(DELTA_RS), this.#lakes.at(this.connection), tables);
    this.reads.length = 0;
    this.#orphans = tables.flatMap((table) => found[table]!.orphans);
    for (const table of tables) {
      const { rows, states } = found[table]!;
      this.reads.push(...states.map((state) => ({ table, isolation: 'VERSION' as const, ...state })));
      await stack.destination.query(`TRUNCATE ${table}`);
      const sql = `INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`;
      await stack.destination.query(sql, [JSON.stringify(rows)]);
    }
  }

  /** Data files that no version names, once every run is cleaned. */
  left(): Promise<string[]> {
    return Promise.resolve([...this.#orphans]);
  }

  remove(): Promise<void> {
    return this.#lakes.empty(this.connection);
  }
}

function sumOf(receipts: readonly Receipt[]): number {
  return receipts.reduce((sum, { rows }) => sum + rows, 0);
}
