import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rangesOf, type Cut } from '../../src/connectors/postgres/ranges.js';
import { findKey, type KeyColumn } from '../../src/connectors/postgres/partition-key.js';
import { openSession, type PgSession } from '../../src/connectors/postgres/session.js';
import { quoteLiteral } from '../../src/connectors/postgres/sql.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { quiet, sourceTools } from '../support/source.js';

let postgres: TestPostgres;
let url: string;
const { planOf, coverage, configOf } = sourceTools(() => url);

/** Types of key columns, and texts of values among which many are equal, near, or at an end of the type. */
const TYPES: Readonly<Record<string, readonly string[]>> = {
  int2: ['-32768', '32767', '0', '1', '2', '-1'],
  int8: ['-9223372036854775808', '9223372036854775807', '0', '1', '-1', '9223372036854775806', '1000'],
  numeric: ['NaN', 'Infinity', '-Infinity', '0', '0.0', '1.00', '1e100', '-1e100', '1e-20'],
  float8: ['NaN', 'Infinity', '-Infinity', '0', '-0', '1e300', '5e-324', '0.1'],
  uuid: [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '80000000-0000-4000-8000-000000000000',
  ],
  date: ['infinity', '-infinity', '4713-01-01 BC', '2024-02-29', '5874897-12-31'],
  timestamp: ['infinity', '-infinity', '4713-01-01 BC', '2024-02-29 12:00:00.000001', '294276-12-31'],
  timestamptz: ['infinity', '-infinity', '1999-12-31 23:59:59+00', '2000-01-01 00:59:59+01', '294276-12-31'],
  'text COLLATE "C"': ['', ' ', 'a', 'A', 'ä', 'a b', `it's`, '\\', 'zz', '\u{1F600}'],
  'text COLLATE "de-x-icu"': ['', ' ', 'a', 'A', 'ä', 'Ä', 'z', 'ß', 'ss', '_a', '-a'],
  'text COLLATE blind': ['', 'a', 'A', 'aa', 'AA', 'b', 'ä', 'Ä', '\\', `'`],
  'varchar(12)': ['', ' ', 'a', 'a ', 'A', 'b', 'ab'],
  'char(5)': ['', ' ', 'a', 'a ', 'A', 'b', 'ab'],
  'ext.citext': ['', 'a', 'A', 'b', 'B', 'ab', 'AB', '_', '['],
  'ext.label': ['', 'a', 'A', 'b', 'ab'],
  pair: ['(,)', '(1,)', '(,x)', '(1,x)', '(1,y)', '(2,)'],
  bool: ['t', 'f'],
};

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('property_test');
  await runSql(
    url,
    `CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE DOMAIN ext.label AS ext.citext;
     CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
     CREATE TYPE pair AS (x int, y text)`,
  );
});

afterAll(() => postgres.stop());

interface Case {
  readonly columns: readonly { readonly type: string; readonly notNull: boolean }[];
  /** Rows and bounds as texts of values, null for NULL. */
  readonly rows: readonly (readonly (string | null)[])[];
  readonly bounds: readonly (readonly string[])[];
}

const typeNames = Object.keys(TYPES);

const cases = fc
  .array(fc.record({ type: fc.constantFrom(...typeNames), notNull: fc.boolean() }), { minLength: 1, maxLength: 4 })
  .chain((columns): fc.Arbitrary<Case> => {
    const known = fc.tuple(...columns.map(({ type }) => fc.constantFrom(...TYPES[type]!)));
    const values = columns.map(({ type, notNull }) =>
      notNull ? fc.constantFrom(...TYPES[type]!) : fc.option(fc.constantFrom(...TYPES[type]!), { freq: 4 }),
    );
    return fc.record({
      columns: fc.constant(columns),
      rows: fc.array(fc.tuple(...values), { minLength: 1, maxLength: 40 }),
      bounds: fc.array(known, { minLength: 0, maxLength: 6 }),
    });
  });

/** Cut by statistics, since a sample leaves rows with NULLs out: a statement that takes composite values apart fails. */
const COMPOSITE: Case = {
  columns: [
    { type: 'pair', notNull: true },
    { type: 'int2', notNull: false },
  ],
  rows: [
    ['(,)', null],
    ['(1,x)', null],
  ],
  bounds: [],
};

const constant = (text: string | null) => (text === null ? 'NULL' : quoteLiteral(text));

async function makeTable({ columns, rows }: Case): Promise<void> {
  const defined = columns.map(({ type, notNull }, i) => `k${i} ${type}${notNull ? ' NOT NULL' : ''}`);
  const values = rows.map((row) => `(${row.map(constant).join(', ')})`);
  await runSql(
    url,
    `SET search_path = public, ext; DROP TABLE IF EXISTS t; CREATE TABLE t (${defined.join(', ')}); INSERT INTO t VALUES ${values.join(', ')}`,
  );
}

const namesOf = ({ columns }: Case) => columns.map((_, i) => `k${i}`);

/** In the server's order and each once, as a plan's are: here by the server too. */
async function sortedBounds(session: PgSession, columns: readonly KeyColumn[], bounds: Case['bounds']) {
  if (bounds.length === 0) return [];
  const casts = columns.map(
    ({ type, collation }, i) => `v${i}::${type}${collation === undefined ? '' : ` COLLATE ${collation}`} AS v${i}`,
  );
  const names = columns.map((_, i) => `v${i}`).join(', ');
  const literals = columns.map(({ type }, i) => `quote_literal(v${i}::text) || ${quoteLiteral(`::${type}`)}`);
  const rows = await session.query<{ bound: string[] }>(
    `SELECT ARRAY[${literals.join(', ')}] AS bound
     FROM (SELECT ${names}, row_number() OVER (PARTITION BY ${names}) AS n FROM (SELECT ${casts.join(', ')}
       FROM (VALUES ${bounds.map((bound) => `(${bound.map(constant).join(', ')})`).join(', ')}) AS b(${names})) AS typed) AS counted
     WHERE n = 1 ORDER BY ${names}`,
  );
  return rows.map(({ bound }) => bound);
}

/** In how many of the partitions the server sees each row: [1] when it is one for all. */
async function memberships(session: PgSession, cut: Cut): Promise<number[]> {
  const sum = [...rangesOf(cut)].map((range) => `coalesce((${range})::int4, 0)`).join(' + ');
  const rows = await session.query<{ n: number }>(`SELECT DISTINCT ${sum} AS n FROM public.t ORDER BY 1`);
  return rows.map(({ n }) => n);
}

async function inSession<T>(work: (session: PgSession) => Promise<T>): Promise<T> {
  await using session = await openSession(
    configOf(),
    { signal: new AbortController().signal, log: quiet, label: 'test' },
    'source',
  );
  await session.begin('source');
  return await work(session);
}

describe('every row is in exactly one partition, as the server sees it', () => {
  test('for any columns, values and bounds', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (given) => {
        await makeTable(given);
        await inSession(async (session) => {
          const [{ oid }] = (await session.query<{ oid: number }>(`SELECT 'public.t'::regclass::oid AS oid`)) as [
            { oid: number },
          ];
          const key = await findKey(session, { oid }, namesOf(given));
          const { columns } = key!;
          expect(columns.map(({ notNull }) => notNull)).toEqual(given.columns.map(({ notNull }) => notNull));
          const cut = { columns, bounds: await sortedBounds(session, columns, given.bounds) };
          expect(await memberships(session, cut)).toEqual([1]);
        });
      }),
      { numRuns: 150 },
    );
  });

  test('for any table as it is planned, with statistics and without', async () => {
    await fc.assert(
      fc.asyncProperty(
        cases.filter(({ columns }) => columns.every(({ type }) => type !== 'bool')),
        fc.boolean(),
        fc.integer({ min: 2, max: 9 }),
        async (given, analyzed, count) => {
          await makeTable(given);
          if (analyzed) await runSql(url, 'ANALYZE t');
          const { list } = await planOf('public.t', { by: namesOf(given), count });
          const { twice, rows, total } = await coverage(list);
          expect({ twice, rows }).toEqual({ twice: 0, rows: total });
        },
      ),
      { numRuns: 60, examples: [[COMPOSITE, true, 2]] },
    );
  });
});
