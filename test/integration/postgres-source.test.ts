import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSourceSession } from '../../src/connectors/postgres/source.js';
import type { SourceStream } from '../../src/connectors/types.js';
import type { LonghaulError } from '../../src/core/errors.js';
import type { Partition, TableRecord, TableSpec } from '../../src/core/model.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { quiet, sourceTools, specOf } from '../support/source.js';

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

const { configOf, open, recordOf } = sourceTools(() => url);

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
