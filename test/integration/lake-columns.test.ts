import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { escapeIdentifier } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataFolder, copyQuery, type CopyOptions } from '../support/lake-files.js';
import { startTestPostgres, runSql, type TestPostgres } from '../support/postgres.js';
import { digestsOf, readWithBoth, shownBy, type Shown } from '../support/read-parquet.js';

let postgres: TestPostgres;
let url: string;

beforeAll(async () => {
  postgres = await startTestPostgres();
  url = await postgres.createDatabase('lake_columns');
  await runSql(
    url,
    `CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'Ärger');
     CREATE DOMAIN public.cents AS numeric(12,2) CHECK (value >= 0);
     CREATE TYPE public.pair AS (a int, b text);`,
  );
});
afterAll(() => postgres.stop());

const FORMATS = ['binary', 'text'] as const;

/** Copies a query and compares what both readers see with what Postgres shows. */
async function compare(query: string, options: CopyOptions = {}) {
  await using folder = await DataFolder.make();
  const copied = await copyQuery(folder, url, query, options);
  const shown = copied.columns.map(
    ({ name, type }) => `${shownBy(`q.${escapeIdentifier(name)}`, type)} AS ${escapeIdentifier(name)}`,
  );
  const rows = await runSql<Record<string, Shown>>(
    `${url}?options=-c%20TimeZone%3DUTC`,
    `SELECT ${shown.join(', ')} FROM (${query}) AS q`,
  );
  const expected = rows.map((row) => copied.columns.map(({ name }) => row[name]));
  const seen = await readWithBoth(copied.files.map(({ path }) => path));
  expect(seen.arrow).toEqual(expected);
  expect(seen.duckdb).toEqual(expected);
  expect(copied.rows).toBe(expected.length);
  return copied;
}

/** Values by type; all of them are columns of one table, since a thread for each would take minutes. */
const VALUES: readonly (readonly [string, string])[] = [
  ['int2', 'VALUES (1::int2), (-32768), (32767), (NULL), (0)'],
  ['int4', 'VALUES (1::int4), (-2147483648), (2147483647), (NULL), (0)'],
  [
    'int8',
    'VALUES (1::int8), (-9223372036854775808), (9223372036854775807), (NULL), (0), (-1), (4294967296), (-4294967297)',
  ],
  ['oid', 'VALUES (1::oid), (4294967295), (NULL)'],
  ['numeric(9,2)', 'VALUES (1.5::numeric(9,2)), (-9999999.99), (9999999.99), (NULL), (0), (0.01), (-0.01), (100)'],
  [
    'numeric(18,4)',
    'VALUES (1.5::numeric(18,4)), (-99999999999999.9999), (99999999999999.9999), (NULL), (0), (0.0001), (12345678.9)',
  ],
  [
    'numeric(38,9)',
    'VALUES (1.5::numeric(38,9)), (-99999999999999999999999999999.999999999), (99999999999999999999999999999.999999999), (NULL), (0), (-0.000000001), (10000000000)',
  ],
  ['numeric(38,0)', 'VALUES (1::numeric(38,0)), (-99999999999999999999999999999999999999), (NULL), (-1)'],
  ['numeric(3,3)', 'VALUES (0.001::numeric(3,3)), (-0.999), (NULL)'],
  [
    'float4',
    "VALUES (1.5::float4), ('NaN'), ('Infinity'), ('-Infinity'), ('-0'), (NULL), (3.4028235e38), (1e-45), (0.1)",
  ],
  [
    'float8',
    "VALUES (1.5::float8), ('NaN'), ('Infinity'), ('-Infinity'), ('-0'), (NULL), (1.7976931348623157e308), (5e-324), (0.1)",
  ],
  ['bool', 'VALUES (true), (false), (NULL), (true), (true), (false), (true), (false), (true)'],
  [
    'text',
    "VALUES ('a'), (''), (NULL), (E'tab\\t new\\nline \\\\ back\\r'), ('ünïcödé 🦆'), ('\\N'), (repeat('x', 5000)), (E'\\x01\\x7f'), ('NULL')",
  ],
  ['char(5)', "VALUES ('a'::char(5)), (''), (NULL), ('abcde')"],
  ['varchar(9)', "VALUES ('a'::varchar(9)), (''), (NULL)"],
  ['name', "VALUES ('pg_class'::name), (NULL)"],
  ['public.mood', "VALUES ('sad'::public.mood), ('Ärger'), (NULL)"],
  ['public.cents', 'VALUES (1.25::public.cents), (NULL)'],
  ['uuid', "VALUES ('123e4567-e89b-12d3-a456-426614174000'::uuid), (NULL), ('00000000-0000-0000-0000-000000000000')"],
  ['json', `VALUES ('{"a": 1,  "a": 2}'::json), (NULL), ('"x"')`],
  ['jsonb', `VALUES ('{"b": [1, 2.50], "a": "ü"}'::jsonb), (NULL), ('null')`],
  [
    'date',
    "VALUES (date '2024-02-29'), ('0001-01-01'), ('9999-12-31'), ('1969-12-31'), ('1900-03-01'), (NULL), ('1582-10-10')",
  ],
  ['time', "VALUES (time '10:00:00'), ('00:00:00'), ('24:00:00'), ('23:59:59.999999'), ('01:02:03.5'), (NULL)"],
  [
    'timestamp',
    "VALUES (timestamp '2024-02-29 10:00:00.123456'), ('0001-01-01 00:00:00'), ('9999-12-31 23:59:59.999999'), ('1969-12-31 23:59:59.999999'), (NULL), ('2024-01-01 00:00:00.1')",
  ],
  [
    'timestamptz',
    "VALUES (timestamptz '2024-02-29 10:00:00.123456+05:30'), ('0001-01-01 00:00:00+00'), ('9999-12-31 23:59:59.999999+00'), ('1969-12-31 23:59:59.999999+00'), (NULL)",
  ],
  ['bytea', "VALUES ('\\x00ff10'::bytea), (''), (NULL), (decode(repeat('ab', 3000), 'hex'))"],
  ['int4[]', "VALUES (ARRAY[1, NULL, 3]::int4[]), ('{}'), (NULL), (ARRAY[-1])"],
  ['int8[]', "VALUES (ARRAY[1, NULL, 9223372036854775807]::int8[]), ('{}'), (NULL)"],
  [
    'text[]',
    "VALUES (ARRAY['a', NULL, '', 'NULL', 'q\"\\{},', E'tab\\t\\n', 'ü']::text[]), ('{}'), (NULL), (ARRAY[repeat('y', 3000)])",
  ],
  ['numeric(10,2)[]', 'VALUES (ARRAY[1.25, -3, NULL]::numeric(10,2)[]), (NULL)'],
  ['timestamptz[]', "VALUES (ARRAY['2024-02-29 10:00:00.123456+00', NULL]::timestamptz[]), (NULL)"],
  ['float8[]', "VALUES (ARRAY['NaN', 'Infinity', 1.5, NULL]::float8[]), ('{}')"],
  ['bytea[]', "VALUES (ARRAY['\\x00ff'::bytea, '', NULL]), ('{}')"],
  ['bool[]', "VALUES (ARRAY[true, false, NULL]), ('{}')"],
];

/** Queries of one column each, side by side; the shorter ones are filled up with NULL. */
function sideBySide(queries: readonly (readonly [string, string])[]): string {
  const columns = queries.map(([name], index) => `c${index}.column1::${name} AS ${escapeIdentifier(name)}`);
  const joins = queries.map(
    ([, query], index) =>
      `LEFT JOIN (SELECT column1, row_number() OVER () AS n FROM (${query}) AS v) AS c${index} ON c${index}.n = n.n`,
  );
  return `SELECT ${columns.join(', ')} FROM generate_series(1, 12) AS n(n) ${joins.join(' ')} ORDER BY n.n`;
}

it.each(FORMATS)('values of every type are what pyarrow and DuckDB read, from %s', async (format) => {
  const { format: used } = await compare(sideBySide(VALUES), { format });
  expect(used).toBe(format);
});

it('types that Postgres alone has are kept as it prints them, all in text', async () => {
  const query = `SELECT '192.168.0.0/16'::inet AS a, '08:00:2b:01:02:03'::macaddr AS b, '1 year 2 mons -3 days 04:05:06.5'::interval AS c,
    '[1,10)'::int4range AS d, B'0101'::bit(4) AS e, '12:00:00+02'::timetz AS f, ROW(1, 'a "b"')::public.pair AS g,
    '<a>ü</a>'::xml AS h, '(1,2),(3,4)'::box AS i, '{(1,2),(0,0);(3,4),(1,1)}'::box[] AS j, '$1.50'::money AS k, 'x'::"char" AS l,
    '{{1,2},{3,4}}'::int4[] AS m`;
  const { format } = await compare(query, { types: { m: 'string' } });
  expect(format).toBe('text');
});

it.each(FORMATS)('declared types are what the job says, from %s', async (format) => {
  const query = `SELECT 1.5::numeric AS plain, timestamp '2024-01-01 10:00:00.5' AS moment, 7::int2 AS small, 1.5::numeric AS about`;
  const types = { plain: 'decimal(38,9)', moment: 'timestamp', small: 'long' };
  await using folder = await DataFolder.make();
  const { files } = await copyQuery(folder, url, `SELECT plain, moment, small FROM (${query}) q`, { format, types });
  const { arrow, duckdb } = await readWithBoth(files.map(({ path }) => path));
  expect(arrow).toEqual([['1.500000000', '2024-01-01 10:00:00.500000', '7']]);
  expect(duckdb).toEqual(arrow);
});

it('a number becomes a double or a text where the job says so', async () => {
  await using folder = await DataFolder.make();
  const query = "VALUES (1.1::numeric, 2.50::numeric), ('NaN', 'Infinity'), (NULL, NULL)";
  const { files, format } = await copyQuery(folder, url, query, { types: { column1: 'double', column2: 'string' } });
  const { arrow } = await readWithBoth(files.map(({ path }) => path));
  expect(format).toBe('text');
  expect(arrow).toEqual([
    ['3ff199999999999a', '2.50'],
    ['7ff8000000000000', 'Infinity'],
    [null, null],
  ]);
});

describe.each(FORMATS)('what a lake can not hold, from %s', (format) => {
  const OUT = [
    "date 'infinity'",
    "date '-infinity'",
    "date '0001-12-31 BC'",
    "date '10000-01-01'",
    "timestamp 'infinity'",
    "timestamp '-infinity'",
    "timestamp '0001-12-31 23:59:59.999999 BC'",
    "timestamp '10000-01-01'",
    "timestamptz 'infinity'",
    "timestamptz '294276-12-31 23:59:59.999999+00'",
    "timestamptz '4713-01-01 00:00:00+00 BC'",
    "'NaN'::numeric(10,2)",
  ];

  it('is an error, or NULL by declaration', async () => {
    await using folder = await DataFolder.make();
    for (const value of ["date 'infinity'", "timestamptz '-infinity'"]) {
      const query = `SELECT * FROM (VALUES (1, NULL), (2, ${value})) AS t(id, v)`;
      await expect(copyQuery(folder, url, query, { format })).rejects.toMatchObject({
        code: 'DataRejected',
        message: expect.stringMatching(/row 2, column v/) as string,
      });
    }
    const query = `SELECT ${OUT.map((value, index) => `${value} AS c${index}`).join(', ')}`;
    const { files } = await copyQuery(folder, url, query, { format, outOfRange: 'null' });
    expect((await readWithBoth([files[0]!.path])).arrow).toEqual([OUT.map(() => null)]);
    expect(files[0]!.statistics.c0).toEqual({ nulls: 1 });
  });

  it('arrays of more dimensions, or with another lower bound, are errors that name the row', async () => {
    await using folder = await DataFolder.make();
    const bad = ["'{{1,2}}'", "'[2:3]={1,2}'"];
    for (const value of bad) {
      const query = `SELECT * FROM (VALUES (1, '{1}'::int4[]), (2, ${value}::int4[])) AS t(id, v)`;
      await expect(copyQuery(folder, url, query, { format })).rejects.toThrow(/row 2, column v/);
    }
    expect(folder.givenUp.length).toBe(0);
  });

  it('more digits than a declared decimal keeps are an error', async () => {
    await using folder = await DataFolder.make();
    const types = { v: 'decimal(10,2)' };
    const query = (value: string) => `SELECT * FROM (VALUES (1.25::numeric), (${value})) AS t(v)`;
    await expect(copyQuery(folder, url, query('1.255'), { format, types })).rejects.toThrow(
      /row 2, column v.*after the point/,
    );
    await expect(copyQuery(folder, url, query('123456789.1'), { format, types })).rejects.toThrow(
      /row 2, column v.*too many digits/,
    );
    const { rows } = await copyQuery(folder, url, query('12345678.10000'), { format, types });
    expect(rows).toBe(2);
  });

  it('a NULL where the source says that there is none', async () => {
    await using folder = await DataFolder.make();
    const query = 'SELECT * FROM (VALUES (1), (2), (NULL)) AS t(v)';
    await expect(copyQuery(folder, url, query, { format, notNull: ['v'] })).rejects.toThrow(/row 3, column v.*NULL/);
  });
});

describe.each(FORMATS)('sizes, from %s', (format) => {
  it('no row, no file', async () => {
    await using folder = await DataFolder.make();
    const { rows, files } = await copyQuery(folder, url, 'SELECT 1 AS a WHERE false', { format });
    expect({ rows, files }).toEqual({ rows: 0, files: [] });
  });

  it('many row groups and files, dictionaries that fill up, NULLs in between', async () => {
    const query = `SELECT g::int8 AS id, CASE WHEN g % 3 = 0 THEN NULL ELSE md5(g::text) END AS t, g % 7 AS few,
      (CASE WHEN g % 5 <> 0 THEN g % 100 END)::numeric(15,2) AS n, date '2000-01-01' + g % 3000 AS d,
      CASE WHEN g % 11 > 0 THEN array_fill(g, ARRAY[g % 4]) END AS l FROM generate_series(1, 300000) g`;
    await using folder = await DataFolder.make();
    const { rows, files } = await copyQuery(folder, url, query, {
      format,
      targetFileSize: 1 << 20,
      compression: 'snappy',
    });
    expect(rows).toBe(300_000);
    expect(files.length).toBeGreaterThan(2);
    expect(files.reduce((sum, file) => sum + file.rows, 0)).toBe(300_000);
    const seen = await readWithBoth(files.map(({ path }) => path));
    expect(seen.arrow.length).toBe(300_000);
    const wrong = seen.arrow.findIndex(
      (row, index) => row[0] !== String(index + 1) || row[2] !== String((index + 1) % 7),
    );
    expect(wrong).toBe(-1);
    expect(seen.duckdb).toEqual(seen.arrow);
    const totals = await runSql<{ sum: string }>(
      url,
      `SELECT md5(string_agg(concat(t, n, d, l::text), ',' ORDER BY id)) AS sum FROM (${query}) q`,
    );
    const list = (value: Shown) => (value === null ? '' : `{${(value as readonly string[]).join(',')}}`);
    const lines = seen.arrow.map(
      ([, t, , n, d, l]) => `${[t, n, d].map((value) => (value ?? '') as string).join('')}${list(l!)}`,
    );
    expect(createHash('md5').update(lines.join(',')).digest('hex')).toBe(totals[0]!.sum);
  });

  it('a text of 50 MB and bytes of 20 MB', async () => {
    await using folder = await DataFolder.make();
    const query =
      "SELECT repeat('ü', 25 * 1024 * 1024) AS t, decode(repeat('ab', 20 * 1024 * 1024), 'hex') AS b, 1 AS id";
    const { files } = await copyQuery(folder, url, query, { format });
    const [text, bytes] = await digestsOf(files[0]!.path);
    expect(text).toBe(
      createHash('md5')
        .update('ü'.repeat(25 * 1024 * 1024))
        .digest('hex'),
    );
    expect(bytes).toBe(
      createHash('md5')
        .update(Buffer.alloc(20 * 1024 * 1024, 0xab))
        .digest('hex'),
    );
    expect(files[0]!.statistics.t!.max!.length).toBeLessThan(70);
  });

  it('1,000 columns', async () => {
    const columns = Array.from({ length: 1000 }, (_, index) =>
      index % 2 === 0 ? `g + ${index} AS c${index}` : `'t' || g + ${index} AS c${index}`,
    );
    await compare(`SELECT ${columns.join(', ')} FROM generate_series(1, 50) g`, { format });
  });
});

it.each(FORMATS)('rows at random are the same in the lake, from %s', async (format) => {
  const finite = fc.double({ noDefaultInfinity: false, noNaN: false });
  const text = fc
    .oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.constantFrom('', 'NULL', '\\N', '{}'))
    .map((s) => s.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '?'));
  const row = fc.tuple(
    fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
    fc.option(fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }).map((n) => `${n}e-9`)),
    fc.option(fc.bigInt({ min: -(10n ** 16n) + 1n, max: 10n ** 16n - 1n }).map((n) => `${n}e-3`)),
    fc.option(finite.map((n) => (Object.is(n, -0) ? '-0' : String(n)))),
    fc.option(text),
    fc.option(
      fc
        .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
        .map((d) => d.toISOString()),
    ),
    fc.option(fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)),
    fc.option(fc.array(fc.option(text))),
  );
  const types = ['int8', 'numeric(38,9)', 'numeric(16,3)', 'float8', 'text', 'timestamptz', 'bytea', 'text[]'];
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 200 }), async (rows) => {
      await runSql(
        url,
        `DROP TABLE IF EXISTS public.random; CREATE TABLE public.random (id serial, ${types.map((type, index) => `c${index} ${type}`).join(', ')})`,
      );
      for (const values of rows) {
        await runSql(
          url,
          `INSERT INTO public.random (${types.map((_, i) => `c${i}`).join(', ')}) VALUES (${types.map((_, i) => `$${i + 1}`).join(', ')})`,
          values,
        );
      }
      await compare('SELECT * FROM public.random ORDER BY id', { format });
    }),
    { numRuns: 4 },
  );
});
