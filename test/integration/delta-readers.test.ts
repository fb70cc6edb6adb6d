import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writeCheckpoint } from '../../src/connectors/delta/log/checkpoint.js';
import { commitPath } from '../../src/connectors/delta/log/names.js';
import { tablePath } from '../../src/connectors/lake/table-path.js';
import { readSnapshot } from '../../src/connectors/delta/log/snapshot.js';
import { salesFile, SALES } from '../support/delta-files.js';
import { DeltaMemoryStore } from '../support/delta-memory-store.js';
import { activeFiles, publish, TABLE } from '../support/delta.js';
import { askPython, DELTA_RS, DUCKDB, pythonWith } from '../support/python.js';

/** Partition values that have to be escaped in one place or another. */
const REGIONS = ['north', 'a/b=c d%20 "ü"', "o'clock\n", null] as const;
const options = { columns: SALES, partitionBy: ['region'], description: `what was "sold", and where` };

let python: string;
let folder: string;
let store: DeltaMemoryStore;

beforeAll(async () => {
  python = await pythonWith([...DELTA_RS, ...DUCKDB]);
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-delta-'));
  store = new DeltaMemoryStore();
  const files = REGIONS.map((region, index) =>
    salesFile(store, `${index}.parquet`, index * 100, index * 100 + 100, region),
  );
  await publish(store, 'a', [], { ...options, files: given(files) });
});

afterEach(() => rm(folder, { recursive: true }));

async function* given<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item);
}

/** Asks a reader of the table as it is in the store. */
async function ask(program: string, input: object = {}): Promise<unknown> {
  await store.dump(folder);
  return askPython(python, `${PRELUDE}\n${program}`, { table: join(folder, TABLE), ...input });
}

const PRELUDE = `
import sys, json, os, glob
given = json.loads(sys.argv[1])
table = given['table']
def answer(value): print(json.dumps(value, default=str))
def duck():
    import duckdb, duckdb_ext
    root = list(duckdb_ext.__path__)[0]
    con = duckdb.connect(config={'threads': 1})
    con.load_extension(glob.glob(root + '/extensions/*/*/delta.duckdb_extension')[0])
    con.execute('SET enable_progress_bar = false')
    con.execute("SET TimeZone = 'UTC'")
    return con
`;

interface Seen {
  readonly schema: { readonly fields: readonly { name: string; type: string; nullable: boolean; metadata: object }[] };
  readonly partitions: readonly string[];
  readonly description: string;
  readonly count: number;
  readonly first: readonly Record<string, unknown>[];
  readonly last: readonly Record<string, unknown>[];
  readonly regions: readonly (readonly [string, number])[];
  readonly history: readonly object[];
  readonly protocol: readonly number[];
}

it('a table of any name is found in its folder by both', async () => {
  await store.dump(folder);
  const table = join(folder, tablePath('bronze."_100% Größe/~x"')!);
  await rename(join(folder, TABLE), table);
  const program = `
from deltalake import DeltaTable
found = duck().execute("SELECT count(*) FROM delta_scan('" + table + "')").fetchone()[0]
answer([DeltaTable(table).to_pyarrow_table().num_rows, found])`;
  expect(await askPython(python, `${PRELUDE}\n${program}`, { table })).toEqual([400, 400]);
});

describe('delta-rs', () => {
  it('reads schema, comments, rows, partition values, history, and an earlier version', async () => {
    const seen = (await ask(`
from deltalake import DeltaTable
dt = DeltaTable(table)
rows = dt.to_pyarrow_table().sort_by('id')
answer({'schema': json.loads(dt.schema().to_json()), 'partitions': dt.metadata().partition_columns, 'description': dt.metadata().description, 'count': rows.num_rows,
  'first': rows.slice(0, 2).to_pylist(), 'last': rows.slice(399, 1).to_pylist(), 'regions': [[v, n] for v, n in sorted(
    ((str(d['region']), d['id_count']) for d in rows.group_by('region').aggregate([('id', 'count')]).to_pylist()))],
  'history': dt.history(), 'protocol': [dt.protocol().min_reader_version, dt.protocol().min_writer_version]})`)) as Seen;
    expect(seen.schema.fields.map((field) => [field.name, field.type, field.nullable])).toEqual([
      ['id', 'long', false],
      ['price', 'decimal(18,2)', true],
      ['name', 'string', true],
      ['at', 'timestamp', true],
      ['clock', 'timestamp_ntz', true],
      ['day', 'date', true],
      ['ratio', 'double', true],
      ['region', 'string', true],
    ]);
    expect(seen.schema.fields.at(-1)!.metadata).toEqual({ comment: SALES.at(-1)!.comment });
    expect(seen.partitions).toEqual(['region']);
    expect(seen.description).toBe(options.description);
    expect(seen.count).toBe(400);
    expect(seen.first[1]).toEqual({
      ...{
        id: 1,
        price: '1.25',
        name: 'customer of the far north, number 000001',
        at: '2024-01-02 00:00:00.123456+00:00',
      },
      ...{ clock: '2024-01-02 00:00:00.123456', day: '2024-01-02', ratio: 0.125, region: 'north' },
    });
    expect(seen.last[0]!['region']).toBeNull();
    expect(new Map(seen.regions)).toEqual(new Map(REGIONS.map((region) => [region ?? 'None', 100])));
    expect(seen.history[0]).toMatchObject({ operation: 'WRITE', engineInfo: 'Longhaul/test', version: 0 });
    expect(seen.protocol).toEqual([3, 7]);
  });

  it('sees a replaced table, and the one before by its version', async () => {
    await publish(store, 'b', [], {
      ...options,
      mode: 'replace',
      files: given([salesFile(store, 'new.parquet', 500, 510, 'x')]),
    });
    const seen = await ask(`
from deltalake import DeltaTable
answer([DeltaTable(table, version=v).to_pyarrow_table().num_rows for v in (0, 1)])`);
    expect(seen).toEqual([400, 10]);
  });

  it('and Longhaul append to what the other wrote, and read the checkpoint of the other', async () => {
    await ask(`
from deltalake import DeltaTable, write_deltalake
dt = DeltaTable(table)
write_deltalake(dt, dt.to_pyarrow_table().slice(0, 5), mode='append')
dt.create_checkpoint()
answer(dt.version())`);
    await store.load(folder);
    store.objects.delete(commitPath(TABLE, 0));
    await publish(store, 'b', [], { ...options, files: given([salesFile(store, 'more.parquet', 500, 510, 'x')]) });
    expect((await readSnapshot(store, TABLE))!.version).toBe(2);
    expect(await activeFiles(store)).toHaveLength(6);
    await writeCheckpoint(store, TABLE, 2);
    store.objects.delete(commitPath(TABLE, 1));
    await rm(folder, { recursive: true });
    const seen = await ask(`
from deltalake import DeltaTable
dt = DeltaTable(table)
answer([dt.version(), dt.to_pyarrow_table().num_rows, sorted(str(k) for k in dt.file_uris())[-1], dt.transaction_version('longhaul:b:orders'),
  dt.metadata().description])`);
    expect(seen).toEqual([2, 415, expect.stringContaining('region=') as string, 1, options.description]);
  });

  it('removes rows of ours, and all of it is replaced then', async () => {
    await ask(`
from deltalake import DeltaTable
answer(DeltaTable(table).delete('id < 50'))`);
    await store.load(folder);
    await publish(store, 'b', [], {
      ...options,
      mode: 'replace',
      files: given([salesFile(store, 'new.parquet', 0, 10, 'x')]),
    });
    expect(
      await ask(`
from deltalake import DeltaTable
answer([DeltaTable(table).to_pyarrow_table().num_rows, DeltaTable(table, version=1).to_pyarrow_table().num_rows])`),
    ).toEqual([10, 350]);
  });
});

/** Of each column, a value in the file of ids 100 to 199 only, and one that is the greatest of it. */
const FILTERS = [
  'id = 150',
  'id >= 199 and id < 201',
  'price = 150.25',
  "name = 'customer of the far north, number 000199'",
  `"at" = TIMESTAMPTZ '2024-07-18 00:00:00.123456+00:00'`,
  "clock = TIMESTAMP '2024-07-18 00:00:00.123456'",
  "day = DATE '2024-07-18'",
  'ratio = 24.875',
  'region = \'a/b=c d%20 "ü"\' and id > 197',
  'region IS NULL and id < 302',
];

describe('DuckDB', () => {
  it('returns with every filter what a scan of all files returns', async () => {
    const seen = (await ask(
      `
con = duck()
con.execute("CREATE TABLE plain AS SELECT * FROM delta_scan('" + table + "')")
out = []
for f in given['filters']:
    pruned = con.execute("SELECT id FROM delta_scan('" + table + "') WHERE " + f + " ORDER BY id").fetchall()
    full = con.execute("SELECT id FROM plain WHERE " + f + " ORDER BY id").fetchall()
    out.append([f, pruned == full, len(pruned)])
answer(out)`,
      { filters: FILTERS },
    )) as [string, boolean, number][];
    expect(seen.filter(([, equal, count]) => !equal || count === 0)).toEqual([]);
    expect(seen).toHaveLength(FILTERS.length);
  });

  it('passes over files by the statistics: two that are not there are not missed', async () => {
    for (const name of ['0', '2']) store.objects.delete(`${TABLE}/_longhaul/run-1/${name}.parquet`);
    const seen = await ask(
      `
con = duck()
scan = "FROM delta_scan('" + table + "') WHERE "
answer([con.execute("SELECT count(*) " + scan + f).fetchall()[0][0] for f in given['filters']])`,
      {
        filters: ['id = 150', "day = DATE '2024-07-18'", 'id BETWEEN 150 AND 160', 'region = \'a/b=c d%20 "ü"\''],
      },
    );
    expect(seen).toEqual([1, 1, 11, 100]);
  });

  it('reads a checkpoint of ours without the commits before it', async () => {
    await publish(store, 'b', [], {
      ...options,
      mode: 'replace',
      files: given([salesFile(store, 'new.parquet', 500, 510, 'x')]),
    });
    await writeCheckpoint(store, TABLE, 1);
    store.objects.delete(commitPath(TABLE, 0));
    expect(
      await ask(`
answer(duck().execute("SELECT count(*), min(id), max(region) FROM delta_scan('" + table + "')").fetchall())`),
    ).toEqual([[10, 500, 'x']]);
  });
});
