import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TableSpec } from '../../src/core/model.js';
import { runSql, startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { sourceTools } from '../support/source.js';

/** The shapes of keys that a plan must balance: its largest partition holds at most twice the median's rows. */
const ROWS = 40_000;
const COUNT = 25;

interface Shape {
  /** Columns of the table, beside a filler of 100 bytes. */
  readonly columns: string;
  /** What they hold in row `i` of 1 … ROWS. */
  readonly values: string;
  /** Order of the rows on disk; at random when absent. */
  readonly order?: string;
  readonly by?: TableSpec['partition']['by'];
  readonly snapshot?: boolean;
  /** Run after the rows were written and, where that is asked for, analyzed. */
  readonly after?: string;
  readonly kept?: number;
}

const SHAPES: Readonly<Record<string, Shape>> = {
  'uniform uuid': { columns: 'k uuid PRIMARY KEY', values: 'gen_random_uuid()' },
  'serial, in order': { columns: 'k bigint PRIMARY KEY', values: 'i', order: 'i' },
  'composite, 90% one leading value': {
    columns: 'kind text, id bigint, PRIMARY KEY (kind, id)',
    values: `CASE WHEN i % 10 < 9 THEN 'order' ELSE 'k' || i % 70 END, i`,
  },
  'zipf ints, unique by a second column': {
    columns: 'k int, id bigint, PRIMARY KEY (k, id)',
    values: '(1 / (random() + 0.00001))::int, i',
  },
  'ints crowded at zero': { columns: 'k int NOT NULL', values: '(random() ^ 6 * 2000000000)::int', by: ['k'] },
  'sparse bigints, huge gaps': { columns: 'k bigint PRIMARY KEY', values: 'i + i / 700 * 90000000000000', order: 'i' },
  'clustered timestamps': {
    columns: 'k timestamptz NOT NULL, id int',
    values: `timestamptz '2020-01-01' + CASE WHEN i % 10 = 0 THEN i * interval '1 hour' ELSE interval '1 year' + i * interval '1 s' END, i`,
    order: 'i',
    by: ['k'],
  },
  'text, ICU': {
    columns: 'k text COLLATE "de-x-icu" PRIMARY KEY',
    values: `(ARRAY['a','B','ä','Z','_','é','É',' ','ß'])[1 + i % 9] || md5(i::text)`,
  },
  'text, nondeterministic': { columns: 'k text COLLATE blind NOT NULL', values: `md5((i % 20000)::text)`, by: ['k'] },
  varchar: { columns: 'k varchar(40) COLLATE "C" PRIMARY KEY', values: `'order-' || lpad((i * 37)::text, 12, '0')` },
  bpchar: { columns: 'k char(40) PRIMARY KEY', values: `md5(i::text)` },
  'citext, composite': {
    columns: 'k public.citext, id int, PRIMARY KEY (k, id)',
    values: `(ARRAY['Red','red','RED','blue','BLUE'])[1 + i % 5], i`,
  },
  'numeric, huge': {
    columns: 'k numeric PRIMARY KEY',
    values: `i * (10::numeric ^ (i % 120)) * CASE WHEN i % 2 = 0 THEN -1 ELSE 1 END`,
  },
  'numeric, infinities and NaN': {
    columns: 'k numeric NOT NULL, id int, PRIMARY KEY (k, id)',
    values: `CASE i % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN 'Infinity' WHEN 2 THEN '-Infinity' ELSE i / 7.0 END, i`,
  },
  'tenant and id, a few giants': {
    columns: 'tenant int, id bigint, PRIMARY KEY (tenant, id)',
    values: `CASE WHEN i % 2 = 0 THEN 7 WHEN i % 4 = 1 THEN 500 WHEN i % 8 = 3 THEN 901 ELSE i % 1000 END, i`,
    order: 'i',
  },
  'three columns': {
    columns: 'region text, day date, id uuid, PRIMARY KEY (region, day, id)',
    values: `CASE WHEN i % 3 = 0 THEN 'eu' ELSE 'us' END, date '2024-01-01' + CASE WHEN i % 5 < 4 THEN 1 ELSE i % 30 END, gen_random_uuid()`,
  },
  'negative keys': { columns: 'k int PRIMARY KEY', values: '-50000 * i' },
  '-2^63 to 2^63-1': {
    columns: 'k bigint PRIMARY KEY',
    values: `CASE i WHEN 1 THEN '-9223372036854775808' WHEN 2 THEN '9223372036854775807' ELSE ((random() - 0.5) * 1.8e19)::int8::text END::bigint`,
  },
  'dates, infinite': {
    columns: 'k date, id int, PRIMARY KEY (k, id)',
    values: `CASE i % 20 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' ELSE date '1970-01-01' + i / 10 END, i`,
  },
  'timestamps, infinite': {
    columns: 'k timestamp NOT NULL',
    values: `CASE i % 200 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' ELSE timestamp '1970-01-01' + i * interval '7 min' END`,
    by: ['k'],
  },
  'float8, infinities and NaN': {
    columns: 'k float8 NOT NULL',
    values: `CASE i % 200 WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' WHEN 2 THEN 'NaN' ELSE exp(i / 100.0) END`,
    by: ['k'],
  },
  domain: { columns: 'k label PRIMARY KEY', values: `md5(i::text)` },
  'unique, 3% NULL': { columns: 'k int UNIQUE', values: 'CASE WHEN i % 33 > 0 THEN i * 1000 END' },
  'unique by two columns, NULLs in both': {
    columns: 'a int, b int, UNIQUE (a, b)',
    values: 'CASE WHEN i % 40 > 0 THEN i % 5 END, CASE WHEN i % 50 > 0 THEN i END',
  },
  '90% deleted, by key': {
    columns: 'k int PRIMARY KEY',
    values: 'i',
    order: 'i',
    after: `DELETE FROM shape WHERE k <= ${ROWS * 0.9}`,
    kept: ROWS / 10,
  },
  '90% deleted, by pages': {
    columns: 'k int PRIMARY KEY',
    values: 'i',
    order: 'i',
    by: 'pages',
    snapshot: true,
    after: `DELETE FROM shape WHERE k <= ${ROWS * 0.9}`,
    kept: ROWS / 10,
  },
  'without a key, by pages': { columns: 'k text', values: `NULL`, by: 'auto', snapshot: true },
  'grown by half since ANALYZE': {
    columns: 'k bigint PRIMARY KEY',
    values: 'i',
    order: 'i',
    after: `INSERT INTO shape SELECT i FROM generate_series(${ROWS} + 1, ${ROWS} * 1.5) AS i`,
    kept: ROWS * 1.5,
  },
};

let postgres: TestPostgres;
let url: string;
const { planOf, coverage } = sourceTools(() => url);
const lines: string[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres('source');
  url = await postgres.createDatabase('balance_test');
  await runSql(
    url,
    `CREATE EXTENSION citext; CREATE DOMAIN label AS varchar(40) COLLATE "C";
     CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
  );
});

afterAll(async () => {
  console.log(
    [`${'shape'.padEnd(40)} statistics  parts   rows least/median/most  most/median`, ...lines.sort()].join('\n'),
  );
  await postgres.stop();
});

async function make({ columns, values, order, after }: Shape, analyzed: boolean): Promise<void> {
  const sort = order === undefined ? 'md5(i::text)' : order;
  await runSql(
    url,
    `DROP TABLE IF EXISTS shape; SELECT setseed(0.5);
     CREATE TABLE shape (${columns}, filler text DEFAULT repeat('x', 100)) WITH (autovacuum_enabled = off);
     INSERT INTO shape SELECT ${values} FROM generate_series(1, ${ROWS}) AS i ORDER BY ${sort} ON CONFLICT DO NOTHING`,
  );
  // Statements of their own: counters of changes are of transactions.
  for (const statement of [...(analyzed ? ['ANALYZE shape'] : []), ...(after === undefined ? [] : [after])]) {
    await runSql(url, statement);
  }
}

describe.each([true, false])('analyzed: %s', (analyzed) => {
  test.each(Object.entries(SHAPES))('%s', async (name, shape) => {
    await make(shape, analyzed);
    const over = shape.snapshot === true ? { consistency: 'snapshot' as const } : {};
    const { list, reason } = await planOf('public.shape', { by: shape.by ?? 'auto', count: COUNT }, over);
    const { counts, twice, rows, total } = await coverage(list);
    expect({ twice, rows }).toEqual({ twice: 0, rows: total });
    const ranges = counts.filter((_, i) => !/IS NOT DISTINCT FROM NULL$/.test(list[i]!.predicate));
    const sorted = [...ranges].sort((a, b) => a - b);
    const [least, median, most] = [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!];
    const numbers = `${String(ranges.length).padStart(5)} ${`${least}/${median}/${most}`.padStart(22)} ${(most / median).toFixed(2).padStart(12)}`;
    lines.push(
      `${name.padEnd(40)} ${(analyzed ? 'yes' : 'none').padEnd(10)} ${numbers}  ${reason.replace(/^\S+ partitions /, '')}`,
    );
    expect(ranges.length).toBeGreaterThanOrEqual(COUNT * 0.7);
    expect(ranges.length).toBeLessThanOrEqual(COUNT);
    expect(least).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(2 * median);
    if (shape.kept !== undefined) expect(total).toBe(shape.kept);
  });
});
