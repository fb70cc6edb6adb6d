import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TableSpec } from '../../src/core/model.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { sourceTools, specOf } from '../support/source.js';

let postgres: TestPostgres;
let url: string;
const { open, planOf, coverage } = sourceTools(() => url);
const sql = <R extends object>(text: string) => runSql<R>(url, text);
const snapshot = { consistency: 'snapshot' as const };

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('pages_test');
  // Tables larger than what the server expects in memory are big: here all are.
  await runSql(postgres.url(), `ALTER DATABASE pages_test SET effective_cache_size = '8kB'`);
  await sql(`CREATE SCHEMA p;
    CREATE TABLE p.ordered (id int PRIMARY KEY, filler text);
    INSERT INTO p.ordered SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
    CREATE TABLE p.shuffled (id int PRIMARY KEY, filler text);
    INSERT INTO p.shuffled SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i ORDER BY md5(i::text);
    CREATE TABLE p.unknown (LIKE p.shuffled INCLUDING ALL) WITH (autovacuum_enabled = off); INSERT INTO p.unknown TABLE p.shuffled;
    CREATE TABLE p.keyless AS SELECT i AS a, repeat('x', 100) AS b FROM generate_series(1, 20000) i;
    CREATE VIEW p.seen AS TABLE p.ordered;
    CREATE MATERIALIZED VIEW p.kept AS TABLE p.ordered;
    CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;
    CREATE TABLE p.elsewhere (id int PRIMARY KEY) USING other;
    CREATE FOREIGN DATA WRAPPER none; CREATE SERVER far FOREIGN DATA WRAPPER none;
    CREATE TABLE p.mixed (id int NOT NULL, day int NOT NULL) PARTITION BY LIST (day);
    CREATE TABLE p.mixed_1 PARTITION OF p.mixed FOR VALUES IN (1);
    CREATE FOREIGN TABLE p.mixed_2 PARTITION OF p.mixed FOR VALUES IN (2) SERVER far;
    CREATE TABLE p.parted (id int NOT NULL, day int NOT NULL, filler text, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
    CREATE TABLE p.parted_1 PARTITION OF p.parted FOR VALUES IN (1);
    CREATE TABLE p.parted_2 PARTITION OF p.parted FOR VALUES IN (2);
    INSERT INTO p.parted SELECT i, 1 + i % 2, repeat('x', 100) FROM generate_series(1, 20000) i`);
  // VACUUM takes away the empty pages at the end that making a table in bulk leaves.
  await sql('VACUUM (ANALYZE) p.ordered, p.shuffled, p.keyless, p.parted, p.kept');
});

afterAll(() => postgres.stop());

async function findingsOf(from: string, over: Partial<TableSpec> = {}) {
  await using session = await open();
  const { findings } = await session.describe(specOf(from, over));
  return findings.map(({ severity, path, message, fix }) => `${severity} ${path}: ${message} — ${fix ?? ''}`);
}

describe('by: pages', () => {
  const pages = { partition: { by: 'pages' as const, count: 12 }, ...snapshot };

  test.each(['p.ordered', 'p.keyless', 'p.kept', 'p.unknown', 'p.parted'])(
    '%s: every row once, alike in size',
    async (from) => {
      expect(await findingsOf(from, pages)).toEqual([]);
      const { list, reason } = await planOf(from, pages.partition, snapshot);
      const { twice, rows, counts } = await coverage(list, from);
      expect({ twice, rows, partitions: list.length }).toEqual({ twice: 0, rows: 20_000, partitions: 12 });
      expect(Math.max(...counts)).toBeLessThan(2 * Math.min(...counts));
      expect(reason).toContain('by ranges of pages (as partition.by says)');
    },
  );

  test('rows that come after the plan are in the last range; each range is read by its pages alone', async () => {
    const { list } = await planOf('p.keyless', pages.partition, snapshot);
    await sql(`INSERT INTO p.keyless SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i`);
    expect(await coverage(list)).toMatchObject({ twice: 0, rows: 23_000, total: 23_000 });
    for (const { relation, predicate } of list) {
      const plan = await sql<object>(`EXPLAIN SELECT * FROM ONLY ${relation!} WHERE ${predicate}`);
      expect(JSON.stringify(plan)).toContain('Tid Range Scan');
    }
    await sql('DELETE FROM p.keyless WHERE ctid IN (SELECT ctid FROM p.keyless ORDER BY ctid DESC LIMIT 3000)');
  });

  test('a table smaller than its number of partitions has as many as it has pages; an empty one has one', async () => {
    await sql(
      'CREATE TABLE p.tiny (a int); CREATE TABLE p.empty (a int); INSERT INTO p.tiny VALUES (1); ANALYZE p.tiny, p.empty',
    );
    for (const [from, rows] of [
      ['p.tiny', 1],
      ['p.empty', 0],
    ] as const) {
      const { list } = await planOf(from, { by: 'pages', count: 10 }, snapshot);
      expect(list).toMatchObject([{ predicate: 'TRUE' }]);
      expect(await coverage(list)).toMatchObject({ rows, twice: 0 });
    }
  });

  test('refused without a snapshot, and for what has no heap of its own', async () => {
    expect(await findingsOf('p.ordered', { partition: { by: 'pages' } })).toEqual([
      expect.stringMatching(/^problem partition.by: pages needs a snapshot: .* — add consistency: snapshot/),
    ]);
    expect(await findingsOf('p.seen', pages)).toEqual([
      `problem partition.by: p.seen can't be cut by pages: a view has no pages — write by: auto, or name a column`,
    ]);
    expect(await findingsOf('p.elsewhere', pages)).toEqual([
      expect.stringMatching(/p.elsewhere can't be cut by pages: it is stored by another access method than heap/),
    ]);
    expect(await findingsOf('p.mixed', pages)).toEqual([
      expect.stringMatching(/p.mixed_2 can't be cut by pages: a foreign table has no pages/),
      expect.stringMatching(/^warning from: the snapshot does not cover foreign tables.*: p.mixed_2/),
    ]);
  });
});

describe('by: auto', () => {
  const warning =
    /^warning partition.by: key ranges of "id" read p.shuffled \(3 MB\) at random: its rows lie on disk in another order \(correlation -?0.\d\d\) — use consistency: snapshot, which reads it by pages, or name columns/;

  test('a key in another order than the disk: pages under a snapshot, else key ranges and a warning', async () => {
    const held = await planOf('p.shuffled', { count: 10 }, snapshot);
    expect(held.reason).toMatch(
      /^10 partitions by ranges of pages \(a snapshot is held, and ranges of "id" would be read at random \(correlation -?0.\d\d\)\)$/,
    );
    expect(await coverage(held.list)).toMatchObject({ twice: 0, rows: 20_000 });
    expect(await findingsOf('p.shuffled', snapshot)).toEqual([]);
    const free = await planOf('p.shuffled', { count: 10 });
    expect(free.reason).toBe('10 partitions by ranges of "id" (in the primary key), bounds from statistics');
    expect(await findingsOf('p.shuffled')).toEqual([expect.stringMatching(warning)]);
    expect(await findingsOf('p.shuffled', { partition: { by: 'auto', count: 1 } })).toEqual([]);
  });

  test('a key in the order of the disk: key ranges, with a snapshot and without', async () => {
    const held = await planOf('p.ordered', { count: 10 }, snapshot);
    expect(held.reason).toBe(
      '10 partitions by ranges of "id" (in the primary key, in the order of the disk), bounds from statistics',
    );
    expect(await findingsOf('p.ordered', snapshot)).toEqual([]);
    expect(await findingsOf('p.ordered')).toEqual([]);
  });

  test('an order that nobody knows: pages under a snapshot, no warning without', async () => {
    const held = await planOf('p.unknown', { count: 10 }, snapshot);
    expect(held.reason).toContain(
      'by ranges of pages (a snapshot is held, and ranges of "id" would be read at random (correlation unknown))',
    );
    expect(await findingsOf('p.unknown')).toEqual([]);
  });

  test('no key: pages under a snapshot, else one partition and a warning', async () => {
    expect((await planOf('p.keyless', { count: 10 }, snapshot)).list).toHaveLength(10);
    expect((await planOf('p.keyless', { count: 10 })).list).toHaveLength(1);
    expect(await findingsOf('p.keyless')).toEqual([
      expect.stringMatching(
        /^warning partition.by: p.keyless \(\d MB\) is one partition: it has no unique key to cut by — name columns in partition.by, or use consistency: snapshot/,
      ),
    ]);
  });

  test('a named key is kept under a snapshot too, with the warning', async () => {
    const named = { partition: { by: ['id'], count: 10 }, ...snapshot };
    expect((await planOf('p.shuffled', named.partition, snapshot)).reason).toContain(
      'by ranges of "id" (named in partition.by)',
    );
    expect(await findingsOf('p.shuffled', named)).toEqual([
      expect.stringMatching(/at random.* — use consistency: snapshot and by: auto/),
    ]);
  });

  test('a table that fits into memory: key ranges, without a warning', async () => {
    const roomy = `${url}?options=${encodeURIComponent('-c effective_cache_size=1GB')}`;
    const { reason } = await planOf('p.shuffled', { count: 10 }, snapshot, { url: roomy });
    expect(reason).toContain('by ranges of "id" (in the primary key)');
    await using session = await open({ url: roomy });
    expect((await session.describe(specOf('p.shuffled'))).findings).toEqual([]);
  });

  test('leaves are chosen for by themselves', async () => {
    await sql(
      `INSERT INTO p.parted SELECT i, 2, repeat('x', 100) FROM generate_series(20001, 40000) i ORDER BY md5(i::text)`,
    );
    await sql('ANALYZE p.parted');
    const { list, reason } = await planOf('p.parted', { count: 12 }, snapshot);
    expect(reason).toMatch(/^12 partitions over 2 tables of p.parted by ranges of "id" .*; by ranges of pages/);
    expect(await coverage(list, 'p.parted')).toMatchObject({ twice: 0, rows: 40_000, total: 40_000 });
  });
});
