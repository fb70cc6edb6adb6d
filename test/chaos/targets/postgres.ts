import type { Link } from '../proxy.js';
import type { Scene } from '../scene.js';
import { columnsOf, OLD_ROWS, oldRows } from '../tables.js';
import type { LedgerTable, Target } from './target.js';

interface Row {
  table: string;
  state: string;
  snapshot: number | null;
  partitions: string | null;
  rows: string | null;
  receipts: string;
  skipped: string;
  sum: string;
}

/** Tables of the stack's second Postgres. */
export class PostgresTarget implements Target {
  readonly connection = 'destination';
  readonly reads = [];

  constructor(private readonly scene: Scene) {}

  get #database() {
    return this.scene.stack.destination;
  }

  get copying(): readonly Link[] {
    return this.#database.proxy.copying;
  }

  async fill(): Promise<void> {
    const { tables, shape } = this.scene;
    const key = shape.keyed ? 'PRIMARY KEY' : '';
    for (const table of tables) {
      await this.#database.query(
        `CREATE TABLE ${table} ${columnsOf(key)}; CREATE INDEX ON ${table} (seen); INSERT INTO ${table} ${oldRows(OLD_ROWS)}`,
      );
    }
  }

  async committed(run: string): Promise<number> {
    const sql = 'SELECT count(*)::int AS n FROM longhaul.receipts WHERE run = $1';
    const found = await this.#database.query<{ n: number }>(sql, [run]).catch(() => undefined);
    return found?.[0]?.n ?? 0;
  }

  async ledger(run: string): Promise<readonly LedgerTable[]> {
    const rows = await this.#database.query<Row>(
      `SELECT t.table_name AS "table", t.state, t.snapshot, t.partitions, t.rows, count(r.*) AS receipts,
         count(*) FILTER (WHERE r.state = 'skipped') AS skipped, coalesce(sum(r.rows), 0) AS sum
       FROM longhaul.run_tables t LEFT JOIN longhaul.receipts r USING (run, table_name)
       WHERE t.run = $1 GROUP BY t.run, t.table_name ORDER BY t.position`,
      [run],
    );
    return rows.map(({ table, state, snapshot, partitions, rows: published, receipts, skipped, sum }) => ({
      ...{ table, state, receipts: Number(receipts), skipped: Number(skipped), sum: Number(sum) },
      ...(snapshot !== null && { snapshot }),
      ...(partitions !== null && { partitions: Number(partitions) }),
      ...(published !== null && { rows: Number(published) }),
    }));
  }

  clean(): Promise<string[]> {
    return Promise.resolve([]);
  }

  look(): Promise<void> {
    return Promise.resolve();
  }

  async left(): Promise<string[]> {
    const found = await this.#database.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE nspname = $1 AND relkind IN ('r', 'p') AND relname ^@ '_longhaul_'`,
      [this.scene.schema],
    );
    return found.map(({ name }) => name);
  }

  /** With its schema. */
  remove(): Promise<void> {
    return Promise.resolve();
  }
}
