import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openStatements } from '../../src/connectors/databricks/statements.js';
import type { StatementSession } from '../../src/connectors/types.js';
import { FakeDatabricks } from '../support/fake-databricks.js';

let fake: FakeDatabricks;
let session: StatementSession;
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };
beforeAll(async () => {
  fake = await FakeDatabricks.start();
  session = await openStatements(fake.config(), { signal: new AbortController().signal, log, label: 'test' });
});
beforeEach(async () => {
  fake.sql.length = 0;
  await fake.warehouse.raw(
    'CREATE OR REPLACE TABLE dev.bronze._extract (query_id VARCHAR, query VARCHAR, completed INT)',
  );
  await fake.warehouse.raw("INSERT INTO dev.bronze._extract SELECT 'q' || i, 'SELECT ' || i, NULL FROM range(5) t(i)");
});
afterAll(() => fake.stop());

const LIST = 'SELECT query_id, query FROM dev.bronze._extract WHERE completed IS NULL ORDER BY query_id; ';
const DONE = 'UPDATE dev.bronze._extract SET completed = :rows WHERE query_id = :query_id';

async function listed(sql: string): Promise<unknown[]> {
  const { columns, rows } = await session.query(sql);
  const found: unknown[] = [columns];
  for await (const batch of rows) found.push(...batch);
  return found;
}

it('reads a list of queries, over all chunks, in its order', async () => {
  const rows = await listed(LIST);
  expect(rows[0]).toEqual(['query_id', 'query']);
  expect(rows.slice(1)).toEqual([0, 1, 2, 3, 4].map((i) => [`q${i}`, `SELECT ${i}`]));
});

it.each(['DELETE FROM dev.bronze._extract', 'DROP TABLE dev.bronze._extract', 'VACUUM dev.bronze._extract'])(
  'runs no list that writes: %s',
  async (sql) => {
    await expect(session.query(sql)).rejects.toMatchObject({ code: 'StatementInvalid' });
    expect(fake.sql.filter((text) => !text.startsWith('EXPLAIN '))).toEqual([]);
  },
);

it.each(['SELECT 1) ; DELETE FROM dev.bronze._extract; SELECT (1', 'SELECT 1) OR EXISTS (SELECT 2'])(
  'is not led out of the parentheses of that look: %s',
  async (sql) => {
    await expect(session.query(sql)).rejects.toMatchObject({ code: 'StatementInvalid' });
    expect((await fake.warehouse.raw('SELECT count(*) FROM dev.bronze._extract')).rows).toEqual([['5']]);
  },
);

it('says what a list lacks', async () => {
  await expect(session.query('SELECT nothing FROM dev.bronze._extract')).rejects.toMatchObject({
    code: 'StatementInvalid',
    message: expect.stringContaining('UNRESOLVED_COLUMN') as string,
  });
});

it('tells what is committed, values apart from the text', async () => {
  await session.execute(DONE, [
    { query_id: 'q1', rows: '7', table_name: 't' },
    { query_id: "q2' OR true --", rows: '8', table_name: 't' },
  ]);
  const { rows } = await fake.warehouse.raw('SELECT query_id, completed FROM dev.bronze._extract WHERE completed > 0');
  expect(rows).toEqual([['q1', '7']]);
});

it('does not tell twice by itself when the answer was lost', async () => {
  fake.faults.push({ at: /^UPDATE/, what: 'lost' });
  await expect(session.execute(DONE, [{ query_id: 'q1', rows: '7' }])).rejects.toMatchObject({
    code: 'ConnectionFailed',
  });
  await fake.idle();
  expect(fake.sql).toHaveLength(1);
});

it('checks a statement without running it', async () => {
  await session.check(`${DONE};`);
  await expect(session.check('UPDATE dev.bronze.gone SET a = :rows')).rejects.toMatchObject({
    code: 'StatementInvalid',
  });
  await expect(session.check('UPDAT x')).rejects.toMatchObject({ code: 'StatementInvalid' });
  expect((await fake.warehouse.raw('SELECT count(completed) FROM dev.bronze._extract')).rows).toEqual([['0']]);
});
