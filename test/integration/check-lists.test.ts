import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openRun } from '../../activities/open-run.js';
import { prepareTable } from '../../activities/prepare-table.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { OpenedRun, PreparedTable } from '../../src/core/activities.js';
import type { LonghaulError } from '../../src/core/errors.js';
import { as } from '../support/check-fixture.js';
import { check } from '../support/checking.js';
import { connectionTo } from '../support/connection.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';

/** Lists of queries against real servers: what a check says of them, and what a run that is opened keeps of them. */

let source: TestPostgres;
let destination: TestPostgres;
let urls: { shop: string; warehouse: string };
let folder: string;
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined };

beforeAll(async () => {
  source = await startTestPostgres('source');
  destination = await startTestPostgres('destination');
  urls = {
    shop: await source.createDatabase('lists_shop'),
    warehouse: await destination.createDatabase('lists_dw'),
  };
  folder = await mkdtemp(join(tmpdir(), 'longhaul-lists-'));
  await runSql(source.url(), `DROP ROLE IF EXISTS list_reader; CREATE ROLE list_reader LOGIN PASSWORD 'reader'`);
  await runSql(urls.warehouse, 'CREATE SCHEMA bronze');
  await runSql(
    urls.shop,
    `CREATE TABLE items (id int PRIMARY KEY, note text); INSERT INTO items SELECT n, 'x' FROM generate_series(1, 100) n;
     CREATE TABLE _extract (query_id text, table_name text, query text, completed timestamptz);
     GRANT SELECT ON items, _extract TO list_reader`,
  );
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await source.stop();
  await destination.stop();
  await runSql(source.url(), 'DROP ROLE list_reader');
});

/** Two tables of four queries each. */
beforeEach(async () => {
  await runSql(
    urls.shop,
    `TRUNCATE _extract; INSERT INTO _extract SELECT 'q' || n, t, 'SELECT id, note FROM public.items WHERE id % 4 = ' || n, NULL
     FROM unnest(ARRAY['orders', 'erp.lines']) t, generate_series(0, 3) n`,
  );
  await runSql(urls.warehouse, 'DROP SCHEMA IF EXISTS longhaul CASCADE');
});

const SQL = 'SELECT * FROM _extract WHERE completed IS NULL ORDER BY table_name, query_id';
const MARK = 'UPDATE _extract SET completed = now() WHERE query_id = :query_id AND table_name = :table_name';
const LIST = { connection: 'shop', sql: SQL };
const job = (queriesFrom: object, more: object = {}) => ({
  ...{ name: 'nightly', source: 'shop', destination: 'warehouse' },
  ...{ tables: [{ queriesFrom, to: 'bronze.erp_{table}' }], ...more },
});
const problemsOf = async (queriesFrom: object, more?: object) =>
  (await check(urls, job(queriesFrom, more), { folder })).problems;

describe('a check', () => {
  it('knows the tables of a list from a query', async () => {
    const { problems, warnings, checked } = await check(urls, job({ ...LIST, onCommitted: MARK }));
    expect([problems, warnings]).toEqual(['', '']);
    expect(checked.job!.tables.map(({ table, to, queries }) => [table, to, queries!.map(({ id }) => id)])).toEqual([
      ['erp.lines', 'bronze.erp_lines', ['q0', 'q1', 'q2', 'q3']],
      ['orders', 'bronze.erp_orders', ['q0', 'q1', 'q2', 'q3']],
    ]);
    expect(checked.records.map(({ columns }) => columns)).toEqual([
      ['id', 'note'],
      ['id', 'note'],
    ]);
  });

  it('says all that is wrong with a list, with its queries by their ids', async () => {
    await runSql(
      urls.shop,
      `INSERT INTO _extract VALUES ('q1', 'orders', 'SELECT 1'), ('', 'orders', 'SELECT 1'), ('q9', 'a.b.c', ''), ('q9', NULL, NULL)`,
    );
    expect(await problemsOf(LIST)).toMatchInlineSnapshot(`
      "tables[0].queriesFrom.sql: table_name is not the name of a table (row 1) — write a name such as orders, or erp.orders
      tables[0].queriesFrom.sql: query is empty (rows 1, 12) — write its text, or take the row out
      tables[0].queriesFrom.sql: query_id is empty (row 6) — give each query an id, unique within its table
      tables[0].queriesFrom.sql: a query_id is there a second time in its table (row 9: orders/q1) — give each its own
      tables[0].queriesFrom.sql: table_name is empty (row 12) — name the table that the query reads a part of"
    `);
    await runSql(
      urls.shop,
      `DELETE FROM _extract WHERE query = 'SELECT 1' OR query = '' OR query IS NULL;
       UPDATE _extract SET query = 'SELECT id, nte FROM public.items' WHERE query_id = 'q2' AND table_name = 'orders';
       UPDATE _extract SET query = 'SELECT id FROM public.items' WHERE query_id = 'q3' AND table_name = 'orders'`,
    );
    expect(await problemsOf(LIST)).toMatchInlineSnapshot(`
      "tables[0].queriesFrom: orders/q2: Connection "shop": the server refused a statement: column "nte" does not exist (SQLSTATE 42703) — search_path is empty: name every table and function with its schema
      tables[0].queriesFrom: orders/q3: it returns no column "note", unlike query q0 — let all queries return the same columns"
    `);
  });

  it('says what is wrong with its query, its connection and its statement', async () => {
    expect(await problemsOf({ connection: 'shop', sql: 'SELECT * FROM _extracts' })).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.sql: connection "shop": the server refused a statement: relation "_extracts" does not exist (SQLSTATE 42P01) — write a SELECT that answers with query_id, table_name, query"`,
    );
    expect(await problemsOf({ connection: 'shop', sql: 'SELECT 1 AS query_id' })).toMatchInlineSnapshot(`
      "tables[0].queriesFrom.sql: it has no column table_name — its columns are query_id, table_name, query
      tables[0].queriesFrom.sql: it has no column query — its columns are query_id, table_name, query"
    `);
    expect(await problemsOf({ connection: 'shop', sql: `${SQL} LIMIT 0` })).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.sql: it has no rows — see where the list comes from"`,
    );
    expect(await problemsOf({ connection: 'sho', sql: SQL })).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.connection: there is no connection "sho" (did you mean "shop"?) — the worker's longhaul.yaml has: shop, warehouse"`,
    );
    expect(await problemsOf({ connection: 'shop', sql: `DELETE FROM _extract RETURNING *` })).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.sql: connection "shop": the server refused a statement: syntax error at or near "DELETE" (SQLSTATE 42601) — write a SELECT that answers with query_id, table_name, query"`,
    );
    expect(
      await problemsOf({ ...LIST, onCommitted: 'UPDATE _extract SET completd = now() WHERE query_id = :query_id' }),
    ).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.onCommitted: connection "shop": the server refused a statement: column "completd" of relation "_extract" does not exist (SQLSTATE 42703)"`,
    );
    const { problems } = await check(
      { ...urls, control: as(urls.shop, 'list_reader', 'reader') },
      job({ connection: 'control', sql: SQL, onCommitted: MARK }),
    );
    expect(problems).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.onCommitted: connection "control": the server refused for lack of a privilege: permission denied for table _extract (SQLSTATE 42501) — grant the privilege, then retry."`,
    );
  });

  it('goes on without a connection that only onCommitted needs, and says so', async () => {
    await writeFile(join(folder, 'q.csv'), 'query_id,table_name,query\n1,orders,"SELECT id FROM public.items"\n');
    const away = { ...urls, control: 'postgres://nobody@127.0.0.1:1/none' };
    const from = { file: 'q.csv', connection: 'control', onCommitted: MARK };
    const { problems, warnings } = await check(away, job(from), { folder });
    expect(problems).toBe('');
    expect(warnings).toMatchInlineSnapshot(
      `"tables[0].queriesFrom.onCommitted: it was not checked: connection "control": nothing accepts connections at its address (ECONNREFUSED) — look at the server"`,
    );
    expect(await problemsOf({ ...from, file: '../q.csv' })).toMatch(
      /^tables\[0\]\.queriesFrom\.file: it is not below the folder/,
    );
  });
});

describe('a run', () => {
  const deps = () => {
    const connectors = new Map(
      Object.entries(urls).map(([name, url]) => [name, createPostgresConnector(connectionTo(name, url))]),
    );
    return { connectors, log, folder };
  };
  const open = (run: string, raw: object): Promise<OpenedRun> =>
    new MockActivityEnvironment().run(() => openRun(deps(), { job: raw, run, workflowId: 'nightly' }));
  const ledger = async () => {
    const { signal } = new AbortController();
    const connector = createPostgresConnector(connectionTo('warehouse', urls.warehouse));
    return connector.openDestination({ signal, log, label: 'test' });
  };
  const idsOf = async (run: string) => {
    await using session = await ledger();
    const tables = await session.ledger.tables(run, { queries: true });
    return tables.map(({ spec }) => [spec.table, spec.queries!.map(({ id }) => id).join()]);
  };
  const ALL = [
    ['erp.lines', 'q0,q1,q2,q3'],
    ['orders', 'q0,q1,q2,q3'],
  ];
  const messageOf = (work: Promise<unknown>) => work.then(String, (error: unknown) => (error as LonghaulError).message);

  it('keeps the list that it was opened with, when it is opened again and when it is resumed', async () => {
    const opened = await open('r1', job({ ...LIST, onCommitted: MARK }));
    expect(opened.tables).toMatchObject([{ table: 'erp.lines', announced: true }, { table: 'orders' }]);
    expect(JSON.stringify(opened)).not.toContain('SELECT');
    expect(await idsOf('r1')).toEqual(ALL);
    // Their habit: what is completed is not in the list any more; all of a table may be.
    await runSql(urls.shop, `UPDATE _extract SET completed = now() WHERE query_id < 'q2' OR table_name = 'erp.lines'`);
    const again = await open('r1', job({ ...LIST, onCommitted: MARK }));
    expect(again.tables.map(({ table }) => table)).toEqual(['erp.lines', 'orders']);
    await runSql(urls.shop, 'TRUNCATE _extract');
    expect((await open('r1', job({ ...LIST, onCommitted: MARK }, { resume: 'r1' }))).tables).toHaveLength(2);
    expect(await idsOf('r1')).toEqual(ALL);
  });

  it('is told from another by what its job declares, and not by what its list says', async () => {
    const specifications = async (queriesFrom: object) => {
      const { checked } = await check(urls, job(queriesFrom));
      return checked.records.map(({ fingerprint }) => fingerprint.specification);
    };
    const before = await specifications(LIST);
    await runSql(
      urls.shop,
      `DELETE FROM _extract WHERE query_id = 'q3'; UPDATE _extract SET query = query || ' AND true'`,
    );
    expect(await specifications(LIST)).toEqual(before);
    expect(await specifications({ ...LIST, onCommitted: MARK })).not.toEqual(before);
  });

  it('is not resumed by a job that declares something else', async () => {
    await open('r2', job(LIST));
    const refused = (raw: object) => messageOf(open('r2', { ...raw, resume: 'r2' }));
    expect(await refused(job({ connection: 'shop', sql: `${SQL} LIMIT 7` }))).toContain(
      'orders: its specification changed: queriesFrom',
    );
    expect(await refused(job(LIST, { mode: 'append' }))).toContain('orders: its specification changed: mode');
    expect(
      await refused(job(LIST, { tables: [{ queriesFrom: LIST, table: 'orders', to: 'bronze.erp_{table}' }] })),
    ).toContain('erp.lines: no longer in the job');
    const more = {
      ...job(LIST),
      tables: [...job(LIST).tables, { queriesFrom: LIST, table: 'late', to: 'bronze.late' }],
    };
    await runSql(urls.shop, `INSERT INTO _extract VALUES ('1', 'late', 'SELECT id FROM public.items')`);
    expect(await refused(more)).toContain('late: not in the run');
  });

  it('with fewer queries than its target was published from is refused, unless that is allowed', async () => {
    await open('r3', job(LIST));
    const publish = `UPDATE longhaul.run_tables SET state = 'published', partitions = 4, changed_at = '2024-05-06 07:08Z' WHERE run = 'r3'`;
    await runSql(urls.warehouse, publish);
    expect(await problemsOf(LIST)).toBe('');
    await runSql(urls.shop, `DELETE FROM _extract WHERE query_id = 'q2' AND table_name = 'orders'`);
    expect(await problemsOf(LIST)).toMatchInlineSnapshot(
      `"tables[0].queriesFrom: 3 queries, fewer than the 4 that bronze.erp_orders was published from on 2024-05-06 (run r3): replace would leave nothing else in it — let it have all of them, finished or not; if the rest is meant to go, say --allow-fewer (allowFewer: true)"`,
    );
    expect(await messageOf(open('r4', job(LIST)))).toContain('fewer than the 4');
    expect(await problemsOf(LIST, { mode: 'append' })).toBe('');
    const inline = {
      table: 'orders',
      to: 'bronze.erp_orders',
      queries: [{ id: 1, sql: 'SELECT id, note FROM public.items' }],
    };
    expect(await problemsOf(LIST, { tables: [inline] })).toContain('tables[0].queries: 1 query, fewer than the 4');
    expect(await problemsOf(LIST, { allowFewer: true })).toBe('');
    // What was allowed when the run was opened is not asked for again.
    await open('r4', job(LIST, { allowFewer: true }));
    await open('r4', job(LIST, { resume: 'r4' }));
  });

  it('takes ten thousand queries, of which nothing but their number goes into history', async () => {
    const filler = 'x'.repeat(400);
    const lines = Array.from(
      { length: 10_000 },
      (_, n) => `q${n},orders,"SELECT id, note FROM public.items WHERE id = ${n} /* ${filler} */"`,
    );
    await writeFile(join(folder, 'many.csv'), ['query_id,table_name,query', ...lines].join('\n'));
    const opened = await open('r5', job({ file: 'many.csv' }));
    const ref = { run: 'r5', table: 'orders', source: 'shop', destination: 'warehouse' };
    const prepared: PreparedTable = await new MockActivityEnvironment().run(() => prepareTable(deps(), ref));
    expect(prepared.plan).toMatchObject({ partitions: 10_000, pages: 20 });
    expect(JSON.stringify([opened, prepared]).length).toBeLessThan(3_000);
    await using session = await ledger();
    expect(await session.ledger.partition('r5', 'orders', 9_876)).toMatchObject({ label: 'q9876' });
    expect(JSON.stringify(await session.ledger.table('r5', 'orders')).length).toBeLessThan(3_000);
  });
});
