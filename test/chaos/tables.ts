import type { Scene } from './scene.js';

/** Rows that a target has before the job, told from the job's own by `gen` 0. */
export const OLD_ROWS = 500;

export const columnsOf = (key: '' | 'PRIMARY KEY') =>
  `(id bigint NOT NULL ${key}, gen int NOT NULL, touched int NOT NULL DEFAULT 0, amount numeric(12,2),
  note text, seen timestamptz, body bytea)`;

/** A query: so many rows of generation 0. */
export const oldRows = (rows: number) =>
  `SELECT -n, 0, 0, n, 'old ' || n, NULL::timestamptz, NULL::bytea FROM generate_series(1, ${rows}) n`;

/** Sources that are full, targets that hold something older: what readers must see until everything is published. */
export async function createTables(scene: Scene): Promise<void> {
  const { source, destination } = scene.stack;
  const { rows, leaves: parted, wide } = scene.shape;
  for (const side of [source, destination]) await side.query(`CREATE SCHEMA ${scene.schema}`);
  for (const table of scene.tables) {
    await source.query(`CREATE TABLE ${table} ${columnsOf('PRIMARY KEY')} ${parted ? leaves(table, rows) : ''};
      INSERT INTO ${table} SELECT ${row('n', wide)} FROM generate_series(1, ${rows}) n; ANALYZE ${table}`);
  }
  await scene.target.fill();
}

/** Partitions by id: two that hold all rows, and an empty one for ids that come behind them. */
function leaves(table: string, rows: number): string {
  const bounds = ['MINVALUE', Math.floor(rows / 2), rows + 1, 2 * rows];
  const parts = bounds
    .slice(1)
    .map(
      (to, n) => `CREATE TABLE ${table}_leaf_${n + 1} PARTITION OF ${table} FOR VALUES FROM (${bounds[n]}) TO (${to})`,
    );
  return `PARTITION BY RANGE (id); ${parts.join('; ')}`;
}

/** The columns of a row of generation 1, with some NULLs and some text that needs escaping. `wide`: hashes of 64 bytes in its body. */
export function row(n: string, wide?: number): string {
  return `${n}, 1, 0, CASE WHEN ${n} % 7 = 0 THEN NULL ELSE ${n} * 1.01 END,
    CASE WHEN ${n} % 11 = 0 THEN E'tab\\t, line\\nback\\\\ ' || ${n} WHEN ${n} % 13 = 0 THEN '' ELSE repeat('n' || ${n}, 5) END,
    timestamptz '2024-01-01 00:00:00Z' + ${n} * interval '1 minute', ${wide === undefined ? `sha256(${n}::text::bytea)` : hashes(n, wide)}`;
}

/** Bytes that can't be compressed. */
function hashes(n: string, count: number): string {
  return `(SELECT string_agg(sha512((${n} || ' ' || i)::bytea), '') FROM generate_series(1, ${count}) i)`;
}
