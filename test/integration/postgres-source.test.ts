import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PostgresConnectionConfig } from '../../src/connectors/postgres/config.js';
import { openSourceSession } from '../../src/connectors/postgres/source.js';
import type { SourceSession, SourceStream } from '../../src/connectors/types.js';
import type { LonghaulError } from '../../src/core/errors.js';
import type { Partition, PartitionHint, TableRecord, TableSpec } from '../../src/core/model.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined };
let postgres: TestPostgres;
let url: string;
let reader: string;

const sql = <R extends object>(text: string) => runSql<R>(url, text);

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('source_test');
  await sql(
    `DO $$ BEGIN CREATE ROLE source_reader LOGIN PASSWORD 'reader'; EXCEPTION WHEN duplicate_object THEN END $$`,
  );
  reader = url.replace(/\/\/[^@]+@/, '//source_reader:reader@');
});

afterAll(async () => {
  await sql('DROP OWNED BY source_reader; DROP ROLE source_reader');
  await postgres.stop();
});

const configOf = (over: Partial<PostgresConnectionConfig> = {}): PostgresConnectionConfig => ({
  type: 'postgres',
  name: 'shop',
  url,
  settings: {},
  maxSessions: 10,
  ledgerSchema: 'longhaul',
  ...over,
});

const open = (over: Partial<PostgresConnectionConfig> = {}): Promise<SourceSession> =>
  openSourceSession(configOf(over), { signal: new AbortController().signal, log: quiet, label: 'test' });

function specOf(from: string, over: Partial<TableSpec> = {}): TableSpec {
  return { table: from, from, to: 'dw.x', mode: 'replace', partition: { by: 'auto', count: 7 }, ...over };
}

async function recordOf(session: SourceSession, spec: TableSpec, format?: string): Promise<TableRecord> {
  const { table, findings } = await session.describe(spec);
  if (table === undefined) throw new Error(JSON.stringify(findings));
  const { shape, columns, formats } = table;
  const rest = { run: 'r', source: 'shop', fingerprint: {}, staging: 'dw.s', state: 'open' as const };
  return { ...rest, spec, shape, columns, format: format ?? formats[0]! };
}

async function planOf(from: string, hint: Partial<PartitionHint>, over: Partial<TableSpec> = {}) {
  await using session = await open();
  const spec = specOf(from, { partition: { by: 'auto', ...hint }, ...over });
  const { partitions, reason, estimatedRows } = await session.plan(await recordOf(session, spec));
  const list: Partition[] = [];
  for await (const partition of partitions) list.push(partition);
  return { list, reason, estimatedRows };
}

/** Rows of each partition, and in how many partitions each row is, as the server counts them. */
async function coverage(list: readonly Partition[], where = 'TRUE') {
  const counts: number[] = [];
  const all = list.map(({ relation, predicate }) => `SELECT tableoid, ctid FROM ONLY ${relation!} WHERE ${predicate}`);
  await sql('CREATE TEMP TABLE IF NOT EXISTS nothing ()');
  for (let from = 0; from < all.length; from += 100) {
    const selects = all
      .slice(from, from + 100)
      .map((select, i) => `SELECT ${i} AS p, count(*)::int4 AS n FROM (${select}) AS s`);
    counts.push(
      ...(await sql<{ n: number }>(`SELECT n FROM (${selects.join(' UNION ALL ')}) AS c ORDER BY p`)).map(({ n }) => n),
    );
  }
  const [seen] = await sql<{ twice: number; rows: number }>(
    `SELECT count(*) FILTER (WHERE n > 1)::int4 AS twice, count(*)::int4 AS rows
     FROM (SELECT count(*) AS n FROM (${all.join(' UNION ALL ')}) AS s GROUP BY tableoid, ctid) AS r`,
  );
  const root = list[0]!.relation!;
  const [total] = await sql<{ n: number }>(`SELECT count(*)::int4 AS n FROM ${root} WHERE ${where}`);
  return { counts, ...seen!, total: total!.n };
}

async function text(stream: SourceStream): Promise<string> {
  if (stream.kind !== 'bytes') throw new Error('rows');
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  let frames = Buffer.concat(chunks);
  let out = '';
  while (frames.length > 0) {
    const length = frames.readInt32BE(1);
    out += frames.toString('utf8', 5, length + 1);
    frames = frames.subarray(length + 1);
  }
  return out;
}

describe('describing a table', () => {
  beforeAll(async () => {
    await sql(`
      CREATE SCHEMA sales;
      CREATE TYPE sales.mood AS ENUM ('sad', 'ok');
      CREATE DOMAIN sales.code AS varchar(4);
      CREATE TYPE sales.pair AS (x sales.code, y sales.mood[]);
      CREATE TYPE sales.span AS RANGE (subtype = int4);
      CREATE TABLE sales.orders (
        region int2, id bigint GENERATED ALWAYS AS IDENTITY, note text COLLATE "C" DEFAULT 'none' NOT NULL, price numeric(10,2),
        twice numeric GENERATED ALWAYS AS (price * 2) STORED, mood sales.mood, code sales.code, pair sales.pair, span sales.span,
        spans int4multirange, tags text[], kind regclass, cash money, PRIMARY KEY (id, region));
      CREATE TABLE sales."Odd.Name" (id int);
      CREATE VIEW sales.cheap AS SELECT id, note FROM sales.orders;
      CREATE TABLE sales.parted (id int NOT NULL, day date NOT NULL) PARTITION BY RANGE (day);
      CREATE TABLE sales.parted_1 PARTITION OF sales.parted FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
      CREATE TABLE sales.parted_2 PARTITION OF sales.parted DEFAULT;
      CREATE SCHEMA longhaul; CREATE TABLE longhaul.runs (id int);
      CREATE TABLE sales._longhaul_0123 (id int);`);
  });

  test('columns, key, types by definition, formats', async () => {
    await using session = await open();
    const { table, findings } = await session.describe(specOf('sales.orders'));
    expect(findings).toEqual([]);
    const { shape, columns, formats } = table!;
    expect(shape.primaryKey).toEqual(['id', 'region']);
    expect(shape).toMatchObject({ system: 'postgres', version: 18 });
    expect(columns).toEqual(shape.columns.map(({ name }) => name).filter((name) => name !== 'twice'));
    expect(formats).toEqual(['postgres.copy.text']); // regclass and money
    const byName = Object.fromEntries(
      shape.columns.map((c) => [c.name, { ...c, definition: JSON.parse(c.definition) as unknown }]),
    );
    expect(byName).toMatchObject({
      region: { type: 'smallint', definition: { builtin: 'int2' }, notNull: true },
      id: { type: 'bigint', identity: 'always' },
      note: { collation: 'pg_catalog."C"', default: "'none'::text", notNull: true },
      price: { type: 'numeric(10,2)', notNull: false },
      twice: { generated: true },
      mood: { type: 'sales.mood', definition: { enum: ['sad', 'ok'] } },
      code: { definition: { domain: { builtin: 'varchar' }, type: 'character varying(4)' } },
      pair: {
        definition: {
          composite: [
            ['x', 'sales.code', { domain: { builtin: 'varchar' }, type: 'character varying(4)' }],
            ['y', 'sales.mood[]', { array: { enum: ['sad', 'ok'] } }],
          ],
        },
      },
      span: { definition: { range: { builtin: 'int4' } } },
      spans: { definition: { builtin: 'int4multirange' } },
      tags: { definition: { array: { builtin: 'text' } } },
      kind: { definition: { builtin: 'regclass', textOnly: true } },
      cash: { definition: { builtin: 'money', textOnly: true } },
    });
  });

  test('binary is offered without the columns that forbid it; the identity names system and database', async () => {
    await using session = await open();
    const { table } = await session.describe(specOf('sales.orders', { exclude: ['kind', 'cash'] }));
    expect(table!.formats[0]).toBe('postgres.copy.binary');
    expect(table!.identity).toMatch(/^postgres\/\d{10,}\/\d+\/source_test$/);
  });

  test('mistakes are findings with their path and what was meant', async () => {
    await using session = await open();
    const messages = async (spec: TableSpec) =>
      (await session.describe(spec)).findings.map(({ path, message, fix }) => `${path}: ${message} — ${fix ?? ''}`);
    expect(await messages(specOf('sales.oders'))).toEqual([
      'from: there is no table sales.oders in connection "shop" — did you mean sales.orders?',
    ]);
    expect(await messages(specOf('a.b.c'))).toEqual([
      'from: "a.b.c" is not the name of a table — write it as schema.table',
    ]);
    expect(await messages(specOf('sales.orders', { columns: ['id', 'prise', 'twice'], exclude: ['moood'] }))).toEqual([
      'columns[1]: there is no column "prise" — did you mean "price"?',
      'exclude[0]: there is no column "moood" — did you mean "mood"?',
      'columns[2]: column "twice" is generated: it is computed, never copied — remove it from the list',
    ]);
    expect(await messages(specOf('sales.orders', { where: 'id = ' }))).toEqual([
      expect.stringMatching(/^where: .*syntax error/),
    ]);
    expect(await messages(specOf('sales.orders', { where: 'id > 1) OR (id < 1' }))).toEqual([
      expect.stringMatching(/^where: /),
    ]);
    const wrong = { columns: ['prise'], where: 'id = ', partition: { by: ['idd'] } };
    expect(await messages(specOf('sales.orders', wrong))).toEqual([
      expect.stringMatching(/^columns\[0\]: there is no column "prise"/),
      expect.stringMatching(/^where: .*syntax error/),
      expect.stringMatching(/^partition.by: there is no column "idd"/),
    ]);
    expect(await messages(specOf('sales.orders', { where: 'id > 1 -- all' }))).toEqual([]);
    expect(await messages(specOf('sales.orders', { partition: { by: ['idd'] } }))).toEqual([
      'partition.by: there is no column "idd" — did you mean "id"?',
    ]);
    expect(await messages(specOf('sales.orders', { partition: { by: ['price'] } }))).toEqual([
      expect.stringMatching(/^partition.by: no index begins with "price"/),
    ]);
    await sql('CREATE TABLE IF NOT EXISTS sales.points (p point)');
    expect(await messages(specOf('sales.points', { partition: { by: ['p'] } }))).toEqual([
      expect.stringMatching(/^partition.by: values of "p" \(point\) have no order/),
    ]);
  });

  test('missing privileges come with the GRANT, of partitions too', async () => {
    await using session = await open({ url: reader });
    const { findings } = await session.describe(specOf('sales.orders'));
    expect(findings.map(({ fix }) => fix)).toEqual([
      'run GRANT USAGE ON SCHEMA "sales" TO "source_reader";',
      'run GRANT SELECT ON "sales"."orders" TO "source_reader";',
    ]);
    await sql('GRANT USAGE ON SCHEMA sales TO source_reader; GRANT SELECT ON sales.parted TO source_reader');
    const { findings: leaves } = await session.describe(specOf('sales.parted'));
    expect(leaves.map(({ message }) => message)).toEqual([
      'role source_reader may not read sales.parted_1',
      'role source_reader may not read sales.parted_2',
    ]);
  });

  test('row security that would hide rows is refused', async () => {
    await sql(`CREATE TABLE sales.secret (id int PRIMARY KEY); ALTER TABLE sales.secret ENABLE ROW LEVEL SECURITY;
      GRANT USAGE ON SCHEMA sales TO source_reader; GRANT SELECT ON sales.secret TO source_reader`);
    await using session = await open({ url: reader });
    const { findings } = await session.describe(specOf('sales.secret'));
    expect(findings).toMatchObject([{ severity: 'problem', fix: expect.stringContaining('BYPASSRLS') as string }]);
  });

  test('patterns take tables and partitioned tables, not their parts, views, the ledger or staging', async () => {
    await using session = await open();
    expect(await session.expand('sales.*')).toEqual(
      expect.arrayContaining(['sales."Odd.Name"', 'sales.orders', 'sales.parted']) as string[],
    );
    expect((await session.expand('*.*')).filter((name) => /_longhaul|parted_|cheap|runs|pg_/.test(name))).toEqual([]);
    expect(await session.expand('sales.order_')).toEqual([]);
  });
});

describe('describing queries', () => {
  const queries = (...sqls: string[]) =>
    specOf('x', { queries: sqls.map((text, i) => ({ id: `q${i}`, sql: text })), partition: { by: 'auto' } });

  test('the columns of the first, in every one of them', async () => {
    await using session = await open();
    const first = `SELECT 1 AS id, 'a'::varchar(3) AS name;  `;
    const { table, findings } = await session.describe(
      queries(first, `SELECT 'b'::varchar(3) AS name, 2 AS id -- same`),
    );
    expect(findings).toEqual([]);
    expect(table!.shape.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'id integer',
      'name character varying(3)',
    ]);
  });

  test('wrong, writing, unequal and unnamed', async () => {
    await using session = await open();
    const { findings } = await session.describe(
      queries(
        'SELECT 1 AS id',
        'SELECT 1::bigint AS id',
        'SELECT 1 AS idd',
        'SELECT * FROM nowhere',
        'SELECT 1 AS id, 2 AS id',
        'SELECT 1',
        'WITH x AS (DELETE FROM sales.orders RETURNING 1 AS id) SELECT id FROM x',
      ),
    );
    expect(findings.map(({ path }) => path)).toEqual([1, 2, 3, 4, 5, 6].map((i) => `queries[${i}].sql`));
    expect(findings[0]!.message).toBe('its column "id" is bigint, not integer, unlike query q0');
  });

  test('each is a partition, and is read', async () => {
    await using session = await open();
    const spec = queries('SELECT 1 AS id', 'SELECT 2 AS id -- two');
    const record = await recordOf(session, spec, 'postgres.copy.text');
    const { partitions } = await session.plan(record);
    expect([...(partitions as Partition[])]).toEqual([
      { ordinal: 0, label: 'q0', predicate: 'SELECT 1 AS id' },
      { ordinal: 1, label: 'q1', predicate: 'SELECT 2 AS id -- two' },
    ]);
    expect(await text(await session.stream(record, (partitions as Partition[])[1]!))).toBe('2\n');
  });
});

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
      await sql(`CREATE TABLE keys.${name} (k ${type}, filler text); CREATE INDEX ON keys.${name} (k);
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
    expect(reason).toContain('by ranges of "id" (in the primary key), bounds from statistics');
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
    expect(await coverage(list)).toMatchObject({ twice: 0, rows: 1333 });
    const inherited = await planOf('keys.old', { count: 4 });
    expect(await coverage(inherited.list)).toMatchObject({ twice: 0, rows: 200 });
  });

  test('without a key, of a view, of an empty table: one partition, and why', async () => {
    await sql(
      'CREATE TABLE keys.keyless (a int, b text); INSERT INTO keys.keyless VALUES (1, NULL); CREATE TABLE keys.empty (id int PRIMARY KEY); CREATE VIEW keys.seen AS SELECT * FROM keys.serial',
    );
    for (const [name, why] of [
      ['keyless', 'no unique, NOT NULL key'],
      ['empty', 'it is small'],
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

describe('streams', () => {
  beforeAll(async () => {
    await sql(`CREATE TABLE public.events (id int PRIMARY KEY, "Note" text, price money, twice int GENERATED ALWAYS AS (id * 2) STORED);
      INSERT INTO public.events SELECT i, 'n' || i, i FROM generate_series(1, 10) i;
      CREATE MATERIALIZED VIEW public.matted AS SELECT id FROM public.events`);
  });

  const spec = specOf('public.events', { columns: ['Note', 'id'] });
  const whole: Partition = { ordinal: 0, label: '1/1', relation: 'public.events', predicate: 'TRUE' };

  test('the rows of a range, columns in the order of the source, and the count of the server', async () => {
    await using session = await open();
    const record = await recordOf(session, spec, 'postgres.copy.text');
    const stream = await session.stream(record, { ...whole, predicate: `"id" >= '9'::integer` });
    expect(await text(stream)).toBe('9\tn9\n10\tn10\n');
    expect(await stream.rows).toBe(2);
  });

  test('a whole table, a materialized view', async () => {
    for (const from of ['public.events', 'public.matted']) {
      await using session = await open();
      const record = await recordOf(session, specOf(from, { columns: ['id'] }), 'postgres.copy.text');
      const stream = await session.stream(record, { ...whole, relation: from });
      expect((await text(stream)).split('\n')).toHaveLength(11);
    }
  });

  test('a whole parent is itself alone', async () => {
    await sql(
      'CREATE TABLE public.mother (id int); CREATE TABLE public.child () INHERITS (public.mother); INSERT INTO public.mother VALUES (1); INSERT INTO public.child VALUES (2)',
    );
    await using session = await open();
    const record = await recordOf(session, specOf('public.mother'), 'postgres.copy.text');
    expect(await text(await session.stream(record, { ...whole, relation: 'public.mother' }))).toBe('1\n');
  });

  test('a source that changed since it was planned is refused, in a column that is copied', async () => {
    await sql('CREATE TABLE public.moving (id int PRIMARY KEY, a int, b int)');
    const partition = { ...whole, relation: 'public.moving' };
    const read = async (record: TableRecord) => {
      await using session = await open(); // which holds its lock until it is disposed
      return await text(await session.stream(record, partition));
    };
    await using first = await open();
    const record = await recordOf(first, specOf('public.moving', { exclude: ['b'] }));
    await sql('ALTER TABLE public.moving ALTER b TYPE text');
    expect(await read(record)).toBeTruthy();
    await sql('ALTER TABLE public.moving ALTER a TYPE bigint');
    await expect(read(record)).rejects.toMatchObject({ code: 'SourceChanged' });
    await sql('DROP TABLE public.moving');
    await expect(read(record)).rejects.toMatchObject({ code: 'SourceChanged' });
  });

  test('a partition or child that came or went since the plan is refused by plan, stream and verification', async () => {
    await sql(`CREATE TABLE public.days (id int NOT NULL, day int NOT NULL) PARTITION BY LIST (day);
      CREATE TABLE public.day1 PARTITION OF public.days FOR VALUES IN (1);
      CREATE TABLE public.day2 PARTITION OF public.days FOR VALUES IN (2);
      CREATE TABLE public.plain (id int PRIMARY KEY); INSERT INTO public.plain VALUES (1)`);
    const refusals = async (record: TableRecord, relation: string) => {
      const codes: string[] = [];
      for (const act of ['plan', 'stream', 'verifyUnchanged'] as const) {
        await using session = await open();
        const done = act === 'stream' ? session.stream(record, { ...whole, relation }) : session[act]!(record);
        codes.push(
          await done.then(
            () => 'nothing',
            (error: unknown) => (error as LonghaulError).message.replace(/:.*(attached).*/, ' $1'),
          ),
        );
      }
      return codes;
    };
    const recorded = async (from: string) => {
      await using session = await open();
      return await recordOf(session, specOf(from));
    };
    const changedOf = (table: string) =>
      Array<string>(3).fill(`The source of ${table} changed since it was planned attached`);
    const [days, plain] = [await recorded('public.days'), await recorded('public.plain')];
    expect(await refusals(days, 'public.day1')).toEqual(['nothing', 'nothing', 'nothing']);
    await sql(
      'INSERT INTO public.day1 VALUES (1, 1); ANALYZE public.days; ALTER TABLE public.day2 SET (fillfactor = 50)',
    );
    expect(await refusals(days, 'public.day1')).toEqual(['nothing', 'nothing', 'nothing']);
    await sql('CREATE TABLE public.day3 PARTITION OF public.days FOR VALUES IN (3)');
    expect(await refusals(days, 'public.day1')).toEqual(changedOf('public.days'));
    await sql('DROP TABLE public.day3');
    expect(await refusals(days, 'public.day1')).toEqual(['nothing', 'nothing', 'nothing']);
    await sql('ALTER TABLE public.days DETACH PARTITION public.day2');
    expect(await refusals(days, 'public.day1')).toEqual(changedOf('public.days'));
    await sql('CREATE TABLE public.late () INHERITS (public.plain)');
    expect(await refusals(plain, 'public.plain')).toEqual(changedOf('public.plain'));
  });

  test('a key that allows NULL now, or sorts in another order, is refused, though it is not copied', async () => {
    await sql(
      `CREATE TABLE public.loose (k text NOT NULL, b int); CREATE TABLE public.loose_child () INHERITS (public.loose)`,
    );
    const read = async (record: TableRecord, relation: string) => {
      await using session = await open();
      return await text(await session.stream(record, { ...whole, relation }));
    };
    const recorded = async () => {
      await using session = await open();
      return await recordOf(session, specOf('public.loose', { columns: ['b'] }));
    };
    const before = await recorded();
    expect(await read(before, 'public.loose_child')).toBeTruthy();
    await sql('ALTER TABLE public.loose ALTER k TYPE text COLLATE "C"');
    await expect(read(before, 'public.loose_child')).rejects.toThrow('"k" of public.loose_child has another collation');
    const collated = await recorded();
    await sql('ALTER TABLE public.loose ALTER k DROP NOT NULL');
    await expect(read(collated, 'public.loose')).rejects.toThrow('"k" of public.loose allows NULL now');
    const loose = await recorded();
    await sql('ALTER TABLE public.loose ALTER k SET NOT NULL');
    expect(await read(loose, 'public.loose')).toBeTruthy();
  });

  test("an error in mid-stream is the connection's, and shows neither value nor statement", async () => {
    await using session = await open();
    const record = await recordOf(session, spec, 'postgres.copy.text');
    const partition = { ...whole, predicate: `"Note"::int > 424242` };
    const stream = await session.stream(record, partition);
    const error = await text(stream).catch((failed: unknown) => failed as Error);
    expect(error).toMatchObject({ code: 'DataRejected' });
    expect((error as Error).message).toMatch(/"shop"/);
    expect((error as Error).message).not.toMatch(/n1|424242/);
  });

  test('a policy that came since makes reading an error, never a part of the rows', async () => {
    await sql(
      `CREATE TABLE public.guarded AS SELECT i AS id FROM generate_series(1, 10) i; GRANT SELECT ON public.guarded TO source_reader`,
    );
    const record = await (async () => {
      await using first = await open({ url: reader });
      return await recordOf(first, specOf('public.guarded'), 'postgres.copy.text');
    })();
    await sql(
      'ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON public.guarded USING (id > 5)',
    );
    await using session = await open({ url: reader });
    const stream = await session.stream(record, { ...whole, relation: 'public.guarded' });
    await expect(text(stream)).rejects.toMatchObject({
      code: 'PermissionDenied',
      next: expect.stringContaining('BYPASSRLS') as string,
    });
  });

  test('an abort in mid-stream rejects with its reason', async () => {
    const abort = new AbortController();
    await using session = await openSourceSession(configOf(), { signal: abort.signal, log: quiet, label: 'test' });
    const record = await recordOf(session, spec, 'postgres.copy.text');
    const stream = await session.stream(record, { ...whole, predicate: 'pg_sleep(60) IS NOT NULL' });
    const reading = text(stream);
    const reason = new Error('stop');
    setImmediate(() => abort.abort(reason));
    await expect(reading).rejects.toBe(reason);
  });
});

test('a primary is fit', async () => {
  await using session = await open();
  expect(await session.checkServer({ sessions: 4 })).toEqual([]);
});
