import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DestinationSession, Place, Row, RowBatch } from '../../src/connectors/types.js';
import type { Partition, Receipt, TableRecord, TableSpec } from '../../src/core/model.js';
import { code, newMeter, Scene, writerOf } from '../contract/fixture.js';
import { postgresFixture, type PostgresFixture } from '../contract/postgres-fixture.js';
import { rowsConnector, rowStream } from '../support/rows-source.js';
import { runSql } from '../support/postgres.js';

let fixture: PostgresFixture;
let tables = 0;

beforeAll(async () => {
  fixture = await postgresFixture('rejects_test');
});
afterAll(() => fixture[Symbol.asyncDispose]());

const sql = <R extends object>(text: string, values: unknown[] = []) => runSql<R>(fixture.destinationUrl, text, values);

const QUERY: Partition = { ordinal: 0, label: 'q017', predicate: 'a query' };
const DECLARED = { id: 'bigint', amount: 'numeric(12,2)', note: 'text' };
const COLUMNS = Object.keys(DECLARED);

async function scene(max: number, more: Partial<TableSpec> = {}, target?: string): Promise<Scene> {
  const to = `public.target_${++tables}`;
  if (target !== undefined) await sql(target.replaceAll('TARGET', to));
  const spec: TableSpec = {
    ...{ table: 'erp.items', to, mode: 'replace' as const, partition: { by: 'auto' as const }, rejects: { max } },
    ...{ queries: [{ id: 'q017', sql: 'a query' }], ...more },
  };
  const source = rowsConnector({ declared: DECLARED, formats: ['csv', 'rows'], open: () => rowStream(COLUMNS, []) });
  return new Scene({ ...fixture, source }, `run-${randomUUID()}`, spec);
}

async function copied(
  s: Scene,
  batches: readonly RowBatch[],
): Promise<{ receipt: Receipt; record: TableRecord; session: DestinationSession }> {
  const session = await s.destination();
  await s.open(session).then((record) => session.prepare(record));
  await session.ledger.putPlan(s, { partitions: [QUERY], reason: 'one query' });
  const record = await session.ledger.table(s.run, s.spec.table);
  await using writer = await writerOf(session.begin(record, QUERY, 1));
  const stream = rowStream(COLUMNS, batches);
  await writer.load(stream, newMeter());
  return { receipt: await writer.commit(await stream.rows), record, session };
}

const rejected = (s: Scene) =>
  sql<{ file: string | null; line: string; error: string; raw: string }>(
    'SELECT file, line, error, raw FROM longhaul.rejects WHERE run = $1 ORDER BY partition, number',
    [s.run],
  );

it('rows that the server refuses are set aside one by one, wherever they are in a batch; the others are written', async () => {
  await using s = await scene(100);
  const bad = new Set([0, 1, 500, 501, 999, 2_345, 29_999]);
  const rows = Array.from({ length: 30_000 }, (_, id): Row => [id, bad.has(id) ? `x${id}` : `${id}.25`, 'n']);
  const place = (index: number): Place => ({ file: 'part-1.csv', line: index * 2 + 10 });
  const { receipt, record } = await copied(s, [{ rows, place, raw: (index) => `raw ${index}` }]);
  expect(receipt).toMatchObject({ rows: 30_000 - bad.size, quarantined: bad.size });
  expect(await rejected(s)).toEqual(
    [...bad].map((id) => ({
      ...{ file: 'part-1.csv', line: String(id * 2 + 10), raw: `raw ${id}` },
      error: `22P02: invalid input syntax for type numeric: "x${id}" (column amount)`,
    })),
  );
  const [sums] = await sql(`SELECT count(*) AS n, count(DISTINCT id) AS ids FROM ${record.staging}`);
  expect(sums).toEqual({ n: String(30_000 - bad.size), ids: String(30_000 - bad.size) });
});

it('rows that can not be written as their types, and malformed ones, are set aside too', async () => {
  await using s = await scene(100);
  const rows: Row[] = [
    [1n, '1', 'a\0b'],
    [2, 2.5, 'x'],
    [3, '3', Uint8Array.of(1, 255)],
    [4, '4', 'fine'],
  ];
  const malformed = [{ raw: '"', place: { line: 9 }, error: 'a quote is not closed' }];
  const { receipt } = await copied(s, [{ rows, malformed }]);
  expect(receipt).toMatchObject({ rows: 1, quarantined: 4 });
  expect(await rejected(s)).toEqual([
    { file: null, line: '9', error: 'a quote is not closed', raw: '"' },
    {
      file: null,
      line: '1',
      error: 'column note: it has a NUL character, which Postgres takes in no text',
      raw: '["1","1","a\\u0000b"]',
    },
    {
      file: null,
      line: '2',
      error: 'column amount: a number of JavaScript has its fraction in binary: give a text such as 12.50',
      raw: '[2,2.5,"x"]',
    },
    {
      file: null,
      line: '3',
      error: 'column note: a value of bytes is no value of type text',
      raw: '[3,"3","\\\\x01ff"]',
    },
  ]);
});

it('a constraint of the target sets the row aside that violates it, a foreign key too, whose error names no line', async () => {
  await using s = await scene(
    100,
    { mode: 'append', publish: 'partition' },
    `CREATE TABLE TARGET_ids (id bigint PRIMARY KEY); INSERT INTO TARGET_ids SELECT generate_series(0, 99);
     CREATE TABLE TARGET (id bigint PRIMARY KEY REFERENCES TARGET_ids, amount numeric(12,2) CHECK (amount >= 0), note text NOT NULL);
     INSERT INTO TARGET VALUES (7, 0, 'there before')`,
  );
  const rows = Array.from({ length: 90 }, (_, id): Row => [id, '1', 'n']);
  rows[5] = [5, '-1', 'n'];
  rows[50] = [50, '1', null];
  rows[60] = [59, '1', 'twice'];
  rows[70] = [170, '1', 'unknown'];
  const { receipt } = await copied(s, [{ rows }]);
  expect(receipt).toMatchObject({ rows: 85, quarantined: 5 });
  const found = await rejected(s);
  const byLine = found
    .map(({ line, error }) => [Number(line), error.slice(0, 5)])
    .sort((a, b) => Number(a[0]) - Number(b[0]));
  expect(byLine).toEqual([
    [6, '23514'],
    [8, '23505'],
    [51, '23502'],
    [61, '23505'],
    [71, '23503'],
  ]);
  expect(await sql(`SELECT count(*)::int AS n FROM ${s.spec.to}`)).toEqual([{ n: 86 }]);
});

it('more than rejects.max end the attempt with counts, the first place and what was wrong, and no value', async () => {
  await using s = await scene(2);
  const rows = Array.from({ length: 50 }, (_, id): Row => [id, id % 10 === 3 ? 'secret' : '1', 'n']);
  const place = (index: number): Place => ({ file: 'part-1.csv', line: index + 2 });
  await expect(copied(s, [{ rows, place }])).rejects.toMatchObject({
    code: 'TooManyRejects',
    message:
      'Partition q017 of erp.items: 3 rows were refused so far, and rejects.max allows 2; nothing of it was committed. The first (file part-1.csv, line 5): the server refused a value that is invalid for its type (column amount) (SQLSTATE 22P02)',
  });
  expect(await rejected(s)).toEqual([]);
});

it('an error that is not of a row is not set aside', async () => {
  await using s = await scene(
    100,
    { mode: 'append', publish: 'partition' },
    `CREATE TABLE TARGET (id bigint, amount numeric(12,2), note text);
     CREATE FUNCTION TARGET_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
     CREATE TRIGGER t BEFORE INSERT ON TARGET FOR EACH ROW EXECUTE FUNCTION TARGET_f()`,
  );
  await expect(copied(s, [{ rows: [[1, '1', 'n']] }])).rejects.toEqual(code('DataRejected'));
  expect(await rejected(s)).toEqual([]);
});

it('a trigger that drops rows is a difference of the counts, with rejects too', async () => {
  await using s = await scene(
    100,
    { mode: 'append', publish: 'partition' },
    `CREATE TABLE TARGET (id bigint, amount numeric(12,2), note text);
     CREATE FUNCTION TARGET_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
     CREATE TRIGGER t BEFORE INSERT ON TARGET FOR EACH ROW EXECUTE FUNCTION TARGET_f()`,
  );
  await expect(
    copied(s, [
      {
        rows: [
          [1, '1', 'n'],
          [2, 'x', 'n'],
        ],
      },
    ]),
  ).rejects.toThrow(/2 rows were read, 1 set aside and 0 written/);
});

it('batches of rows are loaded as they fill: more than fits into one of them', async () => {
  await using s = await scene(100);
  const batch = (from: number): RowBatch => ({
    rows: Array.from({ length: 2_000 }, (_, id): Row => [from + id, id === 1_000 ? 'x' : '1', 'n'.repeat(1_000)]),
  });
  const { receipt } = await copied(s, [0, 2_000, 4_000, 6_000, 8_000, 10_000].map(batch));
  expect(receipt).toMatchObject({ rows: 12_000 - 6, quarantined: 6 });
  expect((await rejected(s)).map(({ line }) => Number(line))).toEqual([1_001, 3_001, 5_001, 7_001, 9_001, 11_001]);
});
