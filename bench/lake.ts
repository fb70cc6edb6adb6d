/**
 * Postgres to Parquet: Longhaul's columns and Parquet writer, two COPY streams at a time in one process, beside DuckDB's own postgres
 * extension writing the same lineitem with two threads, by turns. Only ratios within one run mean anything: machines differ, and are shared.
 *
 *   npm run bench:lake -- [--rows 6001215] [--rounds 3] [--compression zstd] [--format binary] [--source postgres://…] [--json]
 *
 * DuckDB comes from PyPI into a folder in the system's folder for temporary files, and is kept there; so are bench:command's files of lineitem,
 * from which the table is made if they are there. `--source` names a database that has a table public.lineitem already.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startPostgres } from '../src/devstack/postgres.js';
import { CREATE, FILL, run } from './lineitem.js';
import { median, positive, rounded } from './numbers.js';

const PACKAGES = ['duckdb==1.4.4', 'duckdb-ext-postgres==1.4.4.20260205'];

/** What one contestant took; memory is that of its process. */
interface Taken {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMB: number;
  readonly rows: number;
  readonly stages?: Readonly<Record<string, number>>;
  readonly megabytes: number;
}

interface Stage {
  readonly source: string;
  readonly rows: number;
  readonly compression: string;
  readonly format: string;
  readonly python: string;
  readonly folder: string;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const options = { rows: text, rounds: text, compression: text, format: text, source: text };
  const { values } = parseArgs({ options: { ...options, json: { type: 'boolean' } } });
  const { compression = 'zstd', format = 'binary', source } = values;
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-lake-'));
  const rows = positive(values.rows ?? '6001215');
  const server = source === undefined ? await withLineitem(join(folder, 'source'), rows) : undefined;
  try {
    const stage = { source: source ?? server!.url(), rows, compression, format, python: python(), folder };
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
    const early = round % 2 === 0 ? await contest(stage, duckdb(stage)) : undefined;
    const longhaul = await contest(stage, await longhaulCommand(stage));
    const other = early ?? (await contest(stage, duckdb(stage)));
    rounds.push({ longhaul, duckdb: other });
    console.log(`round ${round + 1}:  DuckDB ${shown(other)}  |  Longhaul ${shown(longhaul)}`);
  }
  return rounds;
}

/** Runs a program that writes into a folder of its own, and prints what it took as JSON. */
async function contest(stage: Stage, [program, ...args]: readonly [string, ...string[]]): Promise<Taken> {
  const target = await mkdtemp(join(stage.folder, 'files-'));
  const env = { ...process.env, LAKE_SOURCE_URL: stage.source, LAKE_FORMAT: stage.format, LAKE_FOLDER: target };
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [status] = (await once(child, 'close')) as [number];
  if (status !== 0) throw new Error(`${program} failed.`);
  const taken = JSON.parse(said.trim().split('\n').at(-1)!) as Omit<Taken, 'megabytes'>;
  if (taken.rows !== stage.rows) throw new Error(`${taken.rows} of ${stage.rows} rows were written.`);
  let bytes = 0;
  for (const name of await readdir(target)) bytes += (await stat(join(target, name))).size;
  await rm(target, { recursive: true });
  return { ...taken, megabytes: bytes / 1e6 };
}

/** Halves by pages, as `partition: {by: pages}` cuts a table, and as DuckDB does. */
async function longhaulCommand({ compression, source }: Stage): Promise<[string, ...string[]]> {
  const [size] = await run(source, "SELECT pg_relation_size('public.lineitem') / 16384 AS middle");
  const middle = `'(${String(size?.middle)},0)'`;
  const queries = ['<', '>='].map((side) => `SELECT * FROM ONLY public.lineitem WHERE ctid ${side} ${middle}`);
  return [process.execPath, fileURLToPath(new URL('lake-copy.js', import.meta.url)), compression, ...queries];
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

function duckdb({ python, compression }: Stage): [string, ...string[]] {
  return [python, '-c', DUCKDB, compression];
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

function shown({ seconds, cpuSeconds, peakMB, megabytes, stages }: Taken): string {
  const parts = Object.entries(stages ?? {}).map(([name, time]) => `${name} ${time.toFixed(1)}`);
  const inside = parts.length === 0 ? '' : ` (${parts.join(', ')} s of the threads)`;
  return `${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s CPU, ${peakMB.toFixed(0)} MB, ${megabytes.toFixed(0)} MB written${inside}`;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
