import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDeltaConnector } from '../../src/connectors/delta/index.js';
import { createPostgresConnector } from '../../src/connectors/postgres/index.js';
import { startPostgres } from '../../src/devstack/postgres.js';
import { copyDirectly } from '../../test/support/direct-copy.js';
import { run } from '../lineitem.js';

const ROWS = 30_000;

/** A value of every kind that a lake has a type for, at its edges now and then. */
const TABLE = `
  CREATE TABLE things (id bigint PRIMARY KEY, small smallint, whole int, price numeric(12,2), long numeric(38,10), single real,
    double double precision, ok boolean, name text, day date, at timestamptz, clock timestamp, body bytea, tags text[], region text);
  INSERT INTO things SELECT n, (n % 65536) - 32768, CASE n % 5 WHEN 0 THEN -2147483648 ELSE n * 71 END,
    CASE WHEN n % 7 > 0 THEN (n - 15000) * 1234.56 END, CASE WHEN n % 3 > 0 THEN n * -12345678901234567.0123456789 END,
    CASE n % 11 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE n / 3.0 END::real, CASE n % 11 WHEN 0 THEN 'Infinity' WHEN 1 THEN '-0' ELSE n / 7.0 END::float8,
    CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END,
    CASE n % 6 WHEN 0 THEN '' WHEN 1 THEN NULL WHEN 2 THEN 'Zürich, 北京 😀 ' || n WHEN 3 THEN E'a "quoted"\\nline, ' || n ELSE repeat('x', (n % 50)::int) || n END,
    date '0001-01-01' + (n * 121)::int, timestamptz '1900-01-01 00:00:00.000001Z' + n * interval '1 day 17 us',
    timestamp '1969-12-31 23:59:59.999999' + n * interval '1 hour 1 us', CASE WHEN n % 4 > 0 THEN sha256(n::text::bytea) END,
    CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '{}' ELSE ARRAY['a' || n, NULL, 'ü'] END, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN 'a/b=c %20' ELSE 'r' || n % 4 END
  FROM generate_series(1, ${ROWS}) n`;

/** The same rows as CSV, by Postgres alone: NULL is \\N, bytes are hexadecimal, arrays JSON. */
const EXPECTED = `COPY (SELECT id, small, whole, price, long, single, double, ok::text AS ok, name, day, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') AS at,
    to_char(clock, 'YYYY-MM-DD HH24:MI:SS.US') AS clock, encode(body, 'hex') AS body, to_json(tags) AS tags, region FROM things)
  TO 'FILE' (FORMAT csv, NULL '\\N', FORCE_QUOTE *, ENCODING 'UTF8')`;

export interface Copied {
  /** The Delta table's folder. */
  readonly table: string;
  readonly expected: string;
  readonly rows: number;
}

/** Copies a table of Postgres into a Delta table by our connectors, in four partitions; beside it, what has to be in it. */
export async function copyThings(folder: string): Promise<Copied> {
  const server = await startPostgres({ dataDir: join(folder, 'postgres'), durable: false });
  try {
    await run(server.url(), TABLE);
    const expected = join(folder, 'expected.csv');
    // Written by the server's account, which may be another.
    await chmod(folder, 0o755);
    await writeFile(expected, '');
    await chmod(expected, 0o666);
    await run(server.url(), EXPECTED.replaceAll('FILE', expected));
    await copy(server.url(), join(folder, 'lake'));
    return { table: join(folder, 'lake', 'bronze', 'things'), expected, rows: ROWS };
  } finally {
    await server.stop({ mode: 'immediate' });
  }
}

async function copy(url: string, path: string): Promise<void> {
  const connection = {
    type: 'postgres' as const,
    name: 'source',
    url,
    settings: {},
    maxSessions: 8,
    ledgerSchema: 'longhaul',
  };
  const lake = createDeltaConnector({
    ...{ type: 'delta', name: 'lake', location: { kind: 'local', path }, compression: 'zstd' },
    ...{ targetFileSize: 1 << 20, outOfRange: 'error' },
  });
  await copyDirectly(createPostgresConnector(connection), lake, {
    ...{ table: 'public.things', from: 'public.things', to: 'bronze.things', mode: 'replace' },
    ...{ partition: { by: ['id'], count: 4 }, partitionBy: ['region'] },
  });
}
