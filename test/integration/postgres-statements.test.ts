import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import type { StatementSession } from '../../src/connectors/types.js';
import type { LonghaulError } from '../../src/core/errors.js';
import { as } from '../support/check-fixture.js';
import { attemptOf } from '../support/checking.js';
import { connectionTo } from '../support/connection.js';
import { startPooler } from '../support/pooler.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';

/** Statements that a job names itself: lists are read by them, and others are told. */

let server: TestPostgres;
let url: string;
beforeAll(async () => {
  server = await startTestPostgres('source');
  url = await server.createDatabase('statements');
  await runSql(server.url(), `DROP ROLE IF EXISTS teller; CREATE ROLE teller LOGIN PASSWORD 'teller'`);
  await runSql(
    url,
    `CREATE SCHEMA erp; GRANT USAGE ON SCHEMA erp TO teller; ALTER ROLE teller SET search_path = erp;
     CREATE TABLE erp._extract (query_id int, table_name char(20), query text, completed timestamptz, note text);
     INSERT INTO erp._extract SELECT n, 'orders', 'SELECT ' || n, NULL, NULL FROM generate_series(1, 2500) n;
     GRANT SELECT, UPDATE ON erp._extract TO teller; CREATE TABLE public._extract (query_id int)`,
  );
});
afterAll(async () => {
  await server.stop();
  await runSql(server.url(), 'DROP ROLE teller');
});

async function statements(at = url, signal?: AbortSignal): Promise<StatementSession> {
  const options = attemptOf().session();
  const connector = createPostgresConnector(connectionTo('control', as(at, 'teller', 'teller')));
  return connector.openStatements!({ ...options, ...(signal && { signal }) });
}

async function rowsOf(session: StatementSession, sql: string) {
  const { columns, rows } = await session.query(sql);
  const found: (readonly (string | null)[])[] = [];
  for await (const batch of rows) found.push(...batch);
  return { columns, rows: found };
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => (error as LonghaulError).code,
  );

describe('a query', () => {
  it('sees what the role sees by its own search_path, as text or null, whatever the number of rows', async () => {
    await using session = await statements();
    const { columns, rows } = await rowsOf(session, 'SELECT query_id, query, completed FROM _extract ORDER BY 1;');
    expect(columns).toEqual(['query_id', 'query', 'completed']);
    expect(rows).toHaveLength(2_500);
    expect(rows[2_499]).toEqual(['2500', 'SELECT 2500', null]);
    expect(await rowsOf(session, `SELECT true AS a, 1.50 AS b, '\\x00ff'::bytea AS c WHERE false`)).toEqual({
      columns: ['a', 'b', 'c'],
      rows: [],
    });
  });

  it('writes nothing, and is one statement', async () => {
    await using session = await statements();
    const before = await runSql(url, 'SELECT count(*) FROM erp._extract WHERE note IS NULL');
    for (const sql of [
      `UPDATE _extract SET note = 'x' RETURNING query_id`,
      `WITH u AS (UPDATE _extract SET note = 'x' RETURNING 1) SELECT * FROM u`,
      `SELECT 1; COMMIT; UPDATE _extract SET note = 'x'`,
      'SELECT * FROM nothing',
    ])
      expect(await codeOf(session.query(sql)), sql).toBe('StatementInvalid');
    expect(await codeOf(session.query('SELECT * FROM pg_authid'))).toBe('PermissionDenied');
    expect(await runSql(url, 'SELECT count(*) FROM erp._extract WHERE note IS NULL')).toEqual(before);
    expect((await rowsOf(session, 'SELECT 1 AS one')).rows).toEqual([['1']]);
  });

  it('is left in the middle without a trace', async () => {
    await using session = await statements();
    const { rows } = await session.query('SELECT * FROM generate_series(1, 5000)');
    for await (const batch of rows) {
      expect(batch).toHaveLength(1_000);
      break;
    }
    expect((await rowsOf(session, 'SELECT 1 AS one')).rows).toEqual([['1']]);
  });

  it('is ended at the server by an abort', async () => {
    const controller = new AbortController();
    await using session = await statements(url, controller.signal);
    const asked = session.query('SELECT pg_sleep(600)');
    const reason = new Error('by the test');
    setTimeout(() => controller.abort(reason), 200);
    await expect(asked).rejects.toBe(reason);
    const sleeping = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DECLARE%pg_sleep%'`;
    await expect.poll(() => runSql(url, sleeping), { timeout: 20_000 }).toEqual([{ n: 0 }]);
  });
});

describe('a statement', () => {
  const mark =
    'UPDATE _extract SET note = :rows || $$ :rows $$ WHERE query_id = :query_id AND table_name = :table_name';
  const values = (query_id: string, rows = '7') => ({ query_id, table_name: 'orders', rows });

  it('is run for each set of values, which are never a part of its text', async () => {
    await using session = await statements();
    await session.execute(mark, [values('1'), values('2', `'; DROP TABLE _extract; --`)]);
    const notes = await runSql(url, 'SELECT note FROM erp._extract WHERE query_id < 4 ORDER BY query_id');
    expect(notes).toEqual([{ note: '7 :rows ' }, { note: `'; DROP TABLE _extract; -- :rows ` }, { note: null }]);
  });

  it('is done for all of them, or for none', async () => {
    await using session = await statements();
    const work = session.execute(mark, [values('11'), values('no number')]);
    expect(await codeOf(work)).toBe('DataRejected');
    expect(await runSql(url, 'SELECT note FROM erp._extract WHERE query_id = 11')).toEqual([{ note: null }]);
    const two = `UPDATE _extract SET note = 'x'; COMMIT; UPDATE _extract SET note = 'y'`;
    expect(await codeOf(session.execute(two, [values('1')]))).toBe('StatementInvalid');
    expect(await runSql(url, `SELECT FROM erp._extract WHERE note IN ('x', 'y')`)).toEqual([]);
  });

  it('is checked without being run', async () => {
    await using session = await statements();
    await session.check(mark);
    await session.check(`UPDATE _extract SET note = 'checked'`);
    await session.check('SELECT pg_sleep(1000)');
    expect(await codeOf(session.check('UPDATE _extract SET completd = now() WHERE query_id = :query_id'))).toBe(
      'StatementInvalid',
    );
    expect(await codeOf(session.check('CALL nothing(:query_id)'))).toBe('StatementInvalid');
    await session.execute(mark, [values('21')]);
    expect(await runSql(url, `SELECT FROM erp._extract WHERE note = 'checked'`)).toEqual([]);
  });
});

it('goes through a pooler in transaction mode', async () => {
  const pooler = await startPooler(as(url, 'teller', 'teller'), 'transaction', 1);
  try {
    const through = new URL(url);
    [through.hostname, through.port] = ['127.0.0.1', String(pooler.port)];
    await using session = await statements(through.href);
    expect((await rowsOf(session, 'SELECT query_id FROM _extract')).rows).toHaveLength(2_500);
    await session.check('SELECT :query_id::int');
    await session.execute('UPDATE _extract SET note = :rows WHERE query_id = :query_id', [
      { query_id: '31', table_name: 'orders', rows: 'pooled' },
    ]);
    expect(await runSql(url, 'SELECT note FROM erp._extract WHERE query_id = 31')).toEqual([{ note: 'pooled' }]);
  } finally {
    await pooler.close();
  }
});
