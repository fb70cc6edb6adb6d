import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { sourceTools } from '../support/source.js';

let postgres: TestPostgres;
let url: string;
const { planOf, coverage } = sourceTools(() => url);

const sql = <R extends object>(text: string) => runSql<R>(url, text);

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('plan_test');
});

afterAll(() => postgres.stop());

describe('plans', () => {
  const KEYS: Readonly<Record<string, { type: string; value: string; nullable?: boolean }>> = {
    serial: { type: 'bigint', value: 'i' },
    negative: { type: 'int', value: '(i - 3000) * 700000' },
    duplicates: {
      type: 'int',
      value: 'CASE WHEN i % 10 < 9 THEN 5 WHEN i % 7 = 0 THEN NULL ELSE i % 50 END',
      nullable: true,
    },
    extremes: {
      type: 'bigint',
      value: `CASE i % 3 WHEN 0 THEN '-9223372036854775808' WHEN 1 THEN '9223372036854775807' ELSE i::text END::bigint`,
    },
    small: { type: 'smallint', value: '(i % 200)::int2', nullable: true },
    icu: {
      type: 'text COLLATE "und-x-icu"',
      value: `(ARRAY['a','B','ä','Z','_','é','É',' ',''])[1 + i % 9] || md5(i::text)`,
    },
    bytes: {
      type: 'text COLLATE "C"',
      value: `CASE WHEN i % 5 = 0 THEN NULL ELSE (ARRAY['''','\\','é','Z',''])[1 + i % 5] || i END`,
      nullable: true,
    },
    insensitive: {
      type: 'text COLLATE blind',
      value: `(ARRAY['aa','AA','Aa','bb','BB','cc'])[1 + i % 6] || (i % 300)`,
    },
    padded: { type: 'char(8)', value: `md5(i::text)::char(4)` },
    coded: { type: 'labelled', value: `'x' || (i * 7919 % 6000)` },
    uuid: { type: 'uuid', value: 'md5(i::text)::uuid' },
    times: {
      type: 'timestamptz',
      value: `CASE i % 100 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' WHEN 2 THEN '0044-03-15 BC' ELSE now() + i * interval '17.3 s' END`,
      nullable: true,
    },
    days: { type: 'date', value: `date '2020-01-01' + i % 900` },
    numbers: {
      type: 'numeric',
      value: `CASE i % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' WHEN 3 THEN NULL ELSE i / 7.0 END`,
      nullable: true,
    },
    folded: { type: 'public.citext', value: `(ARRAY['a','A','b','B'])[1 + i % 4] || (i % 1500)` },
    floats: { type: 'float8', value: `CASE i % 40 WHEN 0 THEN 'NaN'::float8 ELSE sin(i) END` },
  };

  beforeAll(async () => {
    await sql(`CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE EXTENSION citext SCHEMA public; CREATE DOMAIN labelled AS varchar(20) COLLATE "C"; CREATE SCHEMA keys`);
    for (const [name, { type, value }] of Object.entries(KEYS)) {
      // Autovacuum would analyze what is never to be analyzed.
      await sql(`CREATE TABLE keys.${name} (k ${type}, filler text) WITH (autovacuum_enabled = false); CREATE INDEX ON keys.${name} (k);
        INSERT INTO keys.${name} SELECT ${value}, repeat('x', 100) FROM generate_series(1, 6000) AS i ORDER BY md5(i::text)`);
    }
  });

  describe.each(['never analyzed', 'analyzed'])('%s', (state) => {
    beforeAll(async () => {
      for (const name of Object.keys(KEYS)) if (state === 'analyzed') await sql(`ANALYZE keys.${name}`);
    });

    test.each(Object.keys(KEYS).flatMap((name) => [3, 23, 140].map((count) => [name, count] as const)))(
      '%s in %i: every row in exactly one partition',
      async (name, count) => {
        const { list, estimatedRows, reason } = await planOf(`keys.${name}`, { by: ['k'], count });
        const { twice, rows, total, counts } = await coverage(list);
        expect({ twice, rows, total }).toEqual({ twice: 0, rows: 6000, total: 6000 });
        expect(list.length).toBeGreaterThan(1);
        expect(list.length).toBeLessThanOrEqual(count + 1);
        expect(list.map(({ label, ordinal }) => `${label} ${ordinal}`)).toEqual(
          list.map((_, i) => `${i + 1}/${list.length} ${i}`),
        );
        expect(estimatedRows).toBe(6000);
        if (name === 'uuid') expect(reason).toContain(state === 'analyzed' && count < 26 ? 'statistics' : 'sample');
        if (['serial', 'uuid', 'icu', 'negative', 'days'].includes(name)) {
          expect(list.length).toBeGreaterThan(count * 0.6);
          expect(Math.max(...counts)).toBeLessThan((6000 / count) * 4 + 10);
        }
      },
    );
  });

  test('a value that outweighs the rest does not take its neighbours with it', async () => {
    const { list } = await planOf('keys.duplicates', { by: ['k'], count: 10 });
    const { counts } = await coverage(list);
    expect(Math.max(...counts)).toBeLessThan(5700);
    expect(counts.filter((n) => n > 0).length).toBeGreaterThanOrEqual(3);
  });

  test('20,000 partitions of an integer key', async () => {
    await sql(
      `CREATE TABLE keys.many (id bigint PRIMARY KEY); INSERT INTO keys.many SELECT i * 3 FROM generate_series(1, 200000) i`,
    );
    await sql('ANALYZE keys.many');
    const { list, reason } = await planOf('keys.many', { count: 20_000 });
    expect(list.length).toBeGreaterThan(19_900);
    expect(list.length).toBeLessThanOrEqual(20_000);
    expect(reason).toBe('20,000 partitions by ranges of "id" (in the primary key), bounds from a sample');
  });

  test('rows that came after ANALYZE are not left to the last partition', async () => {
    await sql(`CREATE TABLE keys.grown (id int PRIMARY KEY); INSERT INTO keys.grown SELECT generate_series(1, 1000)`);
    await sql('ANALYZE keys.grown');
    await sql('INSERT INTO keys.grown SELECT generate_series(1001, 50000)');
    await sql('SELECT pg_stat_force_next_flush()');
    const { list } = await planOf('keys.grown', { count: 10 });
    const { counts, rows } = await coverage(list);
    expect(rows).toBe(50_000);
    expect(Math.max(...counts)).toBeLessThan(10_000);
  });

  test('partitioned and inherited tables are read leaf by leaf, with the condition in each', async () => {
    await sql(`
      CREATE TABLE keys.parent (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE keys.y2024 PARTITION OF keys.parent FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);
      CREATE TABLE keys.y2024_0 PARTITION OF keys.y2024 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE keys.y2024_1 PARTITION OF keys.y2024 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      CREATE TABLE keys.rest PARTITION OF keys.parent DEFAULT;
      INSERT INTO keys.parent SELECT i, date '2024-06-01' + (i % 2) * 365 FROM generate_series(1, 4000) i;
      CREATE TABLE keys.old (id int PRIMARY KEY, extra text); INSERT INTO keys.old SELECT generate_series(1, 100);
      CREATE TABLE keys.young (PRIMARY KEY (id)) INHERITS (keys.old); INSERT INTO keys.young SELECT generate_series(50, 149);`);
    const where = 'id % 3 = 0 -- thirds';
    const { list, reason } = await planOf('keys.parent', { count: 8 }, { where });
    expect([...new Set(list.map(({ relation }) => relation))]).toEqual(['keys.rest', 'keys.y2024_0', 'keys.y2024_1']);
    expect(reason).toContain('over 3 tables of keys.parent');
    expect(await coverage(list, 'keys.parent', where)).toMatchObject({ twice: 0, rows: 1333, total: 1333 });
    const inherited = await planOf('keys.old', { count: 4 });
    expect(await coverage(inherited.list)).toMatchObject({ twice: 0, rows: 200 });
  });

  test('without a key, of a view, of an empty table: one partition, and why', async () => {
    await sql(
      'CREATE TABLE keys.keyless (a int, b text); INSERT INTO keys.keyless VALUES (1, NULL); CREATE TABLE keys.empty (id int PRIMARY KEY); CREATE VIEW keys.seen AS SELECT * FROM keys.serial',
    );
    for (const [name, why] of [
      ['keyless', 'no unique key'],
      ['empty', 'it is empty'],
      ['seen', 'no unique'],
    ] as const) {
      const { list, reason } = await planOf(`keys.${name}`, { count: 10 });
      expect(list).toMatchObject([{ ordinal: 0, label: '1/1', predicate: 'TRUE' }]);
      expect(reason).toContain(why);
    }
  });

  test('a NOT NULL constraint that was never validated leaves room for NULLs', async () => {
    await sql(`CREATE TABLE keys.unsure (k int); INSERT INTO keys.unsure SELECT nullif(i % 100, 0) FROM generate_series(1, 1000) i;
      ALTER TABLE keys.unsure ADD CONSTRAINT nn NOT NULL k NOT VALID`);
    const { list } = await planOf('keys.unsure', { by: ['k'], count: 5 });
    expect(await coverage(list)).toMatchObject({ rows: 1000, twice: 0 });
  });
});
