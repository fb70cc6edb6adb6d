/**
 * Spark and its own Delta library on a table of ours: what it reads, and what we do with what it leaves. Not a test: it downloads Spark.
 * Run by `npm run interop:spark`; docs/lake-delta.md has what it said.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { copyThings } from './delta-spark/copied.js';
import { writeCheckpoint } from '../src/connectors/delta/log/checkpoint.js';
import type { DataFile } from '../src/connectors/lake/model.js';
import { salesFile, SALES } from '../test/support/delta-files.js';
import { DeltaMemoryStore } from '../test/support/delta-memory-store.js';
import { activeFiles, publish, TABLE } from '../test/support/delta.js';
import { pythonWith } from '../test/support/python.js';

const run = promisify(execFile);

const SPARK = ['pyspark==4.0.1'];
const JARS = [
  'io/delta/delta-spark_2.13/4.0.0/delta-spark_2.13-4.0.0.jar',
  'io/delta/delta-storage/4.0.0/delta-storage-4.0.0.jar',
  'org/antlr/antlr4-runtime/4.13.1/antlr4-runtime-4.13.1.jar',
];
const PROGRAM = join(process.cwd(), 'bench', 'delta-spark', 'interop.py');
const REGIONS = ['north', 'a/b=c d%20 "ü"', "o'clock\n", null] as const;
const FILTERS = [
  'id = 150',
  'price = 150.25',
  "name = 'customer of the far north, number 000199'",
  "at = TIMESTAMP '2024-07-18 00:00:00.123456'",
  "clock = TIMESTAMP_NTZ '2024-07-18 00:00:00.123456'",
  "day = DATE '2024-07-18'",
  'ratio = 24.875',
  'region IS NULL AND id < 302',
  'region = \'a/b=c d%20 "ü"\'',
];

async function* given(files: readonly DataFile[]): AsyncGenerator<DataFile> {
  for (const file of files) yield await Promise.resolve(file);
}

async function main(): Promise<void> {
  const python = await pythonWith(SPARK);
  const jars = (await Promise.all(JARS.map(jar))).join(',');
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-spark-'));
  const store = new DeltaMemoryStore();
  const write = async (name: string, mode: 'append' | 'replace', files: readonly DataFile[]) => {
    const done = await publish(store, name, [], { columns: SALES, partitionBy: ['region'], mode, files: given(files) });
    await store.dump(folder);
    tell(`Longhaul: ${mode}`, { ...done, activeFiles: (await activeFiles(store)).length });
  };
  const ask = async (step: string, table: string, given: unknown) => {
    const { stdout } = await run(python, ['-B', PROGRAM, step, table, jars, JSON.stringify(given)], {
      maxBuffer: 64 << 20,
    });
    tell(`Spark: ${step}`, JSON.parse(stdout.slice(stdout.lastIndexOf('RESULT ') + 7)));
  };
  const spark = async (step: string) => {
    await ask(step, join(folder, TABLE), FILTERS);
    await store.load(folder);
  };
  try {
    const copied = await copyThings(folder);
    await ask('compare', copied.table, copied);
    await write(
      'a',
      'append',
      REGIONS.map((region, index) => salesFile(store, `${index}.parquet`, index * 100, index * 100 + 100, region)),
    );
    await spark('look');
    await spark('change');
    await write('b', 'append', [salesFile(store, 'more.parquet', 500, 520, 'north')]);
    await spark('track');
    await write('c', 'append', [salesFile(store, 'tracked.parquet', 600, 620, 'north')]);
    await spark('tracked');
    await write('d', 'replace', [salesFile(store, 'new.parquet', 700, 710, 'x')]);
    tell('Longhaul: checkpoint', await writeCheckpoint(store, TABLE, await lastVersion(store)));
    await store.dump(folder);
    await spark('tracked');
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function lastVersion(store: DeltaMemoryStore): Promise<number> {
  const commits = [...store.objects.keys()].filter((path) => /_delta_log\/\d{20}\.json$/.test(path)).sort();
  return Promise.resolve(Number(basename(commits.at(-1)!, '.json')));
}

async function jar(path: string): Promise<string> {
  const folder = join(homedir(), '.cache', 'longhaul-tests', 'jars');
  const file = join(folder, basename(path));
  if (existsSync(file)) return file;
  await mkdir(folder, { recursive: true });
  const response = await fetch(`https://repo1.maven.org/maven2/${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  await writeFile(`${file}.${process.pid}`, new Uint8Array(await response.arrayBuffer()));
  await rename(`${file}.${process.pid}`, file);
  return file;
}

function tell(what: string, value: unknown): void {
  process.stdout.write(`== ${what}\n${JSON.stringify(value)}\n`);
}

await main();
