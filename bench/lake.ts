/**
 * Postgres to Delta by a whole job of a real worker, two partitions at a time, beside DuckDB's own postgres extension writing the same
 * lineitem as Parquet with two threads, by turns. Only ratios within one run mean anything: machines differ, and are shared.
 *
 *   npm run bench:lake -- [--rows 6001215] [--rounds 3] [--compression zstd] [--by pages] [--source postgres://…] [--json]
 *
 * `--by`: a column in place of ranges of pages, as DuckDB cuts the table. DuckDB comes from PyPI into a folder in the system's folder for
 * temporary files, and is kept there; so are bench:command's files of lineitem, from which the table is made if they are there. `--source`
 * names a database that has a table public.lineitem already.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '../src/devstack/postgres.js';
import { CREATE, FILL, run } from './lineitem.js';
import { startWorker, type BenchWorker } from './longhaul-worker.js';
import { median, positive, rounded } from './numbers.js';

const PACKAGES = ['duckdb==1.4.4', 'duckdb-ext-postgres==1.4.4.20260205'];

/** What one contestant took; memory is that of its process. */
interface Taken {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMB: number;
  readonly megabytes: number;
  /** Seconds of each kind of activity, of Longhaul alone. */
  readonly phases?: ReadonlyMap<string, number>;
}

interface Stage {
  readonly source: string;
  readonly rows: number;
  readonly compression: string;
  readonly by: string;
  readonly python: string;
  readonly folder: string;
  readonly worker: BenchWorker;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const options = { rows: text, rounds: text, compression: text, by: text, source: text };
  const { values } = parseArgs({ options: { ...options, json: { type: 'boolean' } } });
  const { compression = 'zstd', by = 'pages' } = values;
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-lake-'));
  const rows = positive(values.rows ?? '6001215');
  const server = values.source === undefined ? await withLineitem(join(folder, 'source'), rows) : undefined;
  try {
    const source = values.source ?? server!.url();
    const lake = join(folder, 'lake');
    const lines = `  source: {type: postgres, url: "\${BENCH_SOURCE_URL}"}\n  lake: {type: delta, path: "${lake}", compression: ${compression}}\n`;
    await using worker = await startWorker(lines, { BENCH_SOURCE_URL: source });
    console.log(`An idle worker takes ${worker.idleRssMB.toFixed(0)} MB.`);
    const stage = { source, rows, compression, by, python: python(), folder, worker };
    report(await play(stage, positive(values.rounds ?? '3')), values.json ?? false);
  } finally {
    await server?.stop({ mode: 'immediate' });
    await rm(folder, { recursive: true, force: true });
  }
}

async function withLineitem(dataDir: string, rows: number) {
  const server = await startPostgres({ dataDir, durable: false });
  const file = join(tmpdir(), `longhaul-lineitem-${rows}`, 'whole.csv');
  await run(server.url(), CREATE);
  console.log(`Making lineitem with ${rows.toLocaleString('en')} rows.`);
  if (existsSync(file)) execFileSync('psql', ['-qXc', `\\copy lineitem FROM '${file}' (FORMAT csv)`, server.url()]);
  else await run(server.url(), FILL, [rows]);
  await run(server.url(), 'CREATE INDEX ON lineitem (l_orderkey)');
  await run(server.url(), 'VACUUM ANALYZE lineitem');
  return server;
}

function python(): string {
  const folder = join(tmpdir(), 'longhaul-bench-duckdb-1.4.4');
  const program = join(folder, 'bin', 'python');
  if (existsSync(program)) return program;
  console.log('Getting DuckDB from PyPI.');
  execFileSync('python3', ['-m', 'venv', folder]);
  execFileSync(program, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { stdio: 'inherit' });
  return program;
}

async function play(stage: Stage, count: number): Promise<{ longhaul: Taken; duckdb: Taken }[]> {
  const rounds = [];
  for (let round = 0; round < count; round++) {
    // Who comes first changes: a warm cache or a busy neighbour shall favour nobody.
    const early = round % 2 === 0 ? await copyWithDuckdb(stage) : undefined;
    const longhaul = await copyWithLonghaul(stage);
    const other = early ?? (await copyWithDuckdb(stage));
    rounds.push({ longhaul, duckdb: other });
    console.log(`round ${round + 1}:  DuckDB ${shown(other)}  |  Longhaul ${shown(longhaul)}`);
  }
  return rounds;
}

/** A whole job: checks, plan, snapshot, partitions, the commit of the table. */
async function copyWithLonghaul({ worker, by, folder, rows }: Stage): Promise<Taken> {
  const tables = [{ from: 'public.lineitem', to: 'bench.lineitem', partition: { by, count: 2 } }];
  const pages = by === 'pages' && { consistency: 'snapshot' };
  const {
    wallSeconds,
    cpuSeconds,
    peakRssMB,
    phases,
    rows: copied,
  } = await worker.run({
    ...{ name: 'lake', source: 'source', destination: 'lake', parallelism: 2, tables, ...pages },
  });
  if (copied !== rows) throw new Error(`${copied} of ${rows} rows were copied.`);
  const written = join(folder, 'lake', 'bench', 'lineitem');
  const megabytes = await sizeOf(written);
  await rm(written, { recursive: true });
  return { seconds: wallSeconds, cpuSeconds, peakMB: peakRssMB, megabytes, ...(phases && { phases }) };
}

async function sizeOf(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  const sizes = names.filter((name) => name.endsWith('.parquet')).map((name) => stat(join(folder, name)));
  return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0) / 1e6;
}

const DUCKDB = `
import duckdb, duckdb_ext, json, os, pathlib, resource, sys, time
extension = next(pathlib.Path(list(duckdb_ext.__path__)[0]).rglob('postgres_scanner.duckdb_extension'))
connection = duckdb.connect()
connection.execute('SET enable_progress_bar = false')
begun = time.time()
connection.execute(f"LOAD '{extension}'; SET threads = 2")
connection.execute(f"ATTACH '{os.environ['LAKE_SOURCE_URL']}' AS source (TYPE postgres, READ_ONLY)")
rows = connection.execute(f"COPY (SELECT * FROM source.public.lineitem) TO '{os.environ['LAKE_FOLDER']}' (FORMAT parquet, COMPRESSION {sys.argv[1]}, PER_THREAD_OUTPUT true, OVERWRITE_OR_IGNORE true)").fetchall()[0][0]
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({'rows': rows, 'seconds': time.time() - begun, 'cpuSeconds': used.ru_utime + used.ru_stime, 'peakMB': used.ru_maxrss / 1024}))
`;

async function copyWithDuckdb({ python, compression, source, folder, rows }: Stage): Promise<Taken> {
  const target = await mkdtemp(join(folder, 'files-'));
  const env = { ...process.env, LAKE_SOURCE_URL: source, LAKE_FOLDER: target };
  const child = spawn(python, ['-c', DUCKDB, compression], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [status] = (await once(child, 'close')) as [number];
  if (status !== 0) throw new Error('DuckDB failed.');
  const taken = JSON.parse(said.trim().split('\n').at(-1)!) as Omit<Taken, 'megabytes'> & { rows: number };
  if (taken.rows !== rows) throw new Error(`${taken.rows} of ${rows} rows were written.`);
  const megabytes = await sizeOf(target);
  await rm(target, { recursive: true });
  return { ...taken, megabytes };
}

function report(rounds: readonly { longhaul: Taken; duckdb: Taken }[], json: boolean): void {
  const ratio = (of: (taken: Taken) => number) =>
    median(rounds.map(({ longhaul, duckdb }) => of(longhaul) / of(duckdb)));
  const peak = (who: 'longhaul' | 'duckdb') => rounded(Math.max(...rounds.map((round) => round[who].peakMB)));
  const wallRatio = ratio(({ seconds }) => seconds);
  const cpuRatio = ratio(({ cpuSeconds }) => cpuSeconds);
  const sizeRatio = ratio(({ megabytes }) => megabytes);
  console.log(`\nLonghaul ÷ DuckDB, medians of ${rounds.length} rounds:`);
  console.log(`  time  ${wallRatio}\n  CPU   ${cpuRatio}\n  size  ${sizeRatio}`);
  console.log(`  memory at the most  ${peak('longhaul')} MB, DuckDB ${peak('duckdb')} MB`);
  if (json) console.log(JSON.stringify({ wallRatio, cpuRatio, sizeRatio, peakMemoryMB: peak('longhaul') }));
}

function shown({ seconds, cpuSeconds, peakMB, megabytes, phases }: Taken): string {
  const parts = [...(phases ?? [])].map(([name, time]) => `${name} ${time.toFixed(2)}`);
  const inside = parts.length === 0 ? '' : ` (${parts.join(', ')})`;
  return `${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s CPU, ${peakMB.toFixed(0)} MB, ${megabytes.toFixed(0)} MB written${inside}`;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
