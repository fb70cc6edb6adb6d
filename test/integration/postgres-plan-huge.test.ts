import { open as openFile, chown, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runSql, startOwnPostgres } from '../support/postgres.js';
import { sourceTools, specOf } from '../support/source.js';

/**
 * A table of ten billion rows, as far as a plan can tell: a terabyte of empty pages, in sparse files that take no room, and statistics
 * as ANALYZE would leave them.
 */
const ROWS = 10_000_000_000;
const SEGMENT = 1024 ** 3;
const SEGMENTS = 1_000;
const PAGES = (SEGMENTS * SEGMENT) / 8_192;

let own: Awaited<ReturnType<typeof startOwnPostgres>>;
let url: string;
const { open, planOf } = sourceTools(() => url);

beforeAll(async () => {
  own = await startOwnPostgres({ settings: { autovacuum: 'off' } });
  url = own.server.url();
  await runSql(url, 'CREATE TABLE huge (id bigint PRIMARY KEY, filler varchar(61))');
  const [{ path }] = (await runSql<{ path: string }>(url, `SELECT pg_relation_filepath('huge') AS path`)) as [
    { path: string },
  ];
  await stretch(join(own.dataDir, 'cluster', path));
  await runSql(url, statisticsOf('huge'));
});

afterAll(() => own.remove());

/** Makes a relation's file as long as it may be, and adds such files behind it. */
async function stretch(file: string): Promise<void> {
  const { uid, gid } = await stat(file);
  for (let i = 0; i < SEGMENTS; i++) {
    const name = i === 0 ? file : `${file}.${i}`;
    const handle = await openFile(name, 'a', 0o600);
    await handle.truncate(SEGMENT);
    await handle.close();
    await chown(name, uid, gid);
  }
}

function statisticsOf(table: string): string {
  const bounds = Array.from({ length: 101 }, (_, i) => 1 + i * (ROWS / 100) * 3).join(',');
  const column = (name: string, width: number, rest: string) =>
    `SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', '${table}', 'attname', '${name}', 'inherited', false,
       'null_frac', 0::real, 'avg_width', ${width}, 'n_distinct', -1::real${rest})`;
  return [
    `SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', '${table}', 'relpages', ${PAGES}, 'reltuples', ${ROWS}::real)`,
    column('id', 8, `, 'histogram_bounds', '{${bounds}}'::text, 'correlation', 0.99::real`),
    column('filler', 61, ''),
  ].join(';\n');
}

interface Reads {
  readonly scans: number;
  readonly blocks: number;
}

/** What was read of the table so far, as the server counted. */
async function reads(): Promise<Reads> {
  const [row] = await runSql<Reads>(
    url,
    `SELECT (t.seq_scan + coalesce(t.idx_scan, 0))::int4 AS scans, (io.heap_blks_read + io.heap_blks_hit)::int4 AS blocks
     FROM pg_stat_user_tables t JOIN pg_statio_user_tables io USING (relid) WHERE t.relname = 'huge'`,
  );
  return row!;
}

async function measured<T>(what: string, work: () => Promise<T>) {
  const before = await reads();
  const start = performance.now();
  const result = await work();
  const seconds = (performance.now() - start) / 1_000;
  const after = await reads();
  const blocks = after.blocks - before.blocks;
  console.log(`${what}: ${seconds.toFixed(2)} s, ${blocks} of ${PAGES} pages read`);
  return { result, blocks, scans: after.scans - before.scans };
}

test('a plan by size reads a sample at most', async () => {
  const { result, blocks, scans } = await measured('planned by size', () => planOf('public.huge', {}));
  expect(result.list).toHaveLength((SEGMENTS * SEGMENT) / (256 * 1024 ** 2));
  expect(result.estimatedRows).toBe(ROWS);
  expect(scans).toBe(0);
  // Each page once, and once more to choose it.
  expect(blocks).toBeLessThan(100_000);
});

test('a plan that statistics are fine enough for reads nothing', async () => {
  const { result, blocks } = await measured('planned by count', () => planOf('public.huge', { count: 25 }));
  expect(result).toMatchObject({
    reason: '25 partitions by ranges of "id" (in the primary key), bounds from statistics',
  });
  expect(result.list).toHaveLength(25);
  expect(blocks).toBe(0);
});

test('a plan by pages reads nothing', async () => {
  const { result, blocks } = await measured('planned by pages', () =>
    planOf('public.huge', { by: 'pages', rows: 1_000_000 }, { consistency: 'snapshot' }),
  );
  expect(result.list).toHaveLength(10_000);
  expect(result.list.at(-1)!.predicate).toBe(
    `"ctid" OPERATOR("pg_catalog".>=) '(${Math.floor((PAGES * 9_999) / 10_000)},0)'::tid`,
  );
  expect(blocks).toBe(0);
});

test('a check reads nothing', async () => {
  const { blocks } = await measured('described', async () => {
    await using session = await open();
    expect((await session.describe(specOf('public.huge'))).findings).toEqual([]);
  });
  expect(blocks).toBe(0);
});
