import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Client } from 'pg';
import type { TableProgress } from '../../../workflows/messages.js';
import { compareTable, type Difference } from '../compare.js';
import { withClient } from '../demo/sql.js';
import { DevstackError } from '../report.js';
import { lakeRows } from './lake-rows.js';
import { EXAMPLE, type Stage } from './stage.js';

/** Rows an INSERT. */
const BATCH = 5_000;

/**
 * Compares a published table with what the library's own data say, made anew by another way than the copy's: no session, no
 * CSV, no COPY. Of a table that isn't published, every row is missing.
 */
export async function compareWithExpected(stage: Stage, { table, to, phase }: TableProgress): Promise<Difference> {
  const { controlUrl, warehouseUrl } = stage;
  const queries = await queriesOf(controlUrl, table);
  if (phase !== 'published') {
    const sourceRows = await countRows(queries);
    return { sourceRows, destinationRows: 0, missing: sourceRows, extra: 0 };
  }
  const expected = `expected.${table}`;
  await withClient(warehouseUrl, async (client) => {
    await client.query('CREATE SCHEMA IF NOT EXISTS expected');
    await client.query(`CREATE TABLE ${expected} (LIKE ${to})`);
    await fill(client, expected, expectedRows(queries));
    if (stage.to === 'lake') await fill(client, to, lakeRows(stage.lake, to, BATCH));
  });
  return compareTable(warehouseUrl, warehouseUrl, expected, to);
}

function queriesOf(controlUrl: string, table: string): Promise<string[]> {
  return withClient(controlUrl, async (client) => {
    const { rows } = await client.query<{ query: string }>('SELECT query FROM _extract WHERE table_name = $1', [table]);
    return rows.map(({ query }) => query);
  });
}

/** Rows as JSON objects, in batches. */
async function fill(client: Client, table: string, batches: AsyncIterable<readonly string[]>): Promise<void> {
  for await (const batch of batches) {
    await client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
      `[${batch.join(',')}]`,
    ]);
  }
}

async function countRows(queries: readonly string[]): Promise<number> {
  let count = 0;
  for await (const batch of expectedRows(queries)) count += batch.length;
  return count;
}

/** The rows of the queries, one JSON object each, in batches. */
async function* expectedRows(queries: readonly string[]): AsyncGenerator<string[]> {
  const program = spawn('python3', ['expected.py'], { cwd: EXAMPLE, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(program, 'exit') as Promise<[number | null]>;
  program.stdin.end(queries.map((query) => `${query}\n`).join(''));
  let batch: string[] = [];
  for await (const line of createInterface({ input: program.stdout })) {
    if (batch.push(line) === BATCH) {
      yield batch;
      batch = [];
    }
  }
  yield batch;
  const [code] = await exited;
  if (code !== 0) throw new DevstackError(`expected.py has failed (exit code ${code ?? 'none'}).`);
}
