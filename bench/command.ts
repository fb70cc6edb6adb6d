/**
 * What a program costs as a source: one that prints a ready CSV file of lineitem (`cat`), copied by a whole job of a real worker, beside
 * `psql \copy` of the same file into the same empty table, with as many processes, by turns. Only ratios within one run mean anything:
 * machines differ, and are shared.
 *
 *   npm run bench:command -- [--rows 6001215] [--rounds 3] [--json]
 *
 * The files are made once, in the system's folder for temporary files, and kept there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPostgres } from '../src/devstack/postgres.js';
import { CREATE, FILL, LINEITEM, run } from './lineitem.js';
import { startWorker, type BenchWorker, type Usage } from './longhaul-worker.js';
import { median, positive, rounded } from './numbers.js';
import { requirePsql, timePsql } from './psql.js';

const PROCESSES = [1, 2];

/** A shell only because the file is the query: `cat` itself is what runs. */
const CONNECTIONS = `  files:
    type: command
    run: [sh, -c, 'exec cat "$LONGHAUL_QUERY" > "$LONGHAUL_OUT"']
  destination: {type: postgres, url: "\${BENCH_DESTINATION_URL}"}
`;

interface Round {
  readonly processes: number;
  readonly psql: Usage;
  readonly longhaul: Usage;
}

interface Stage {
  readonly destination: string;
  readonly worker: BenchWorker;
  readonly rows: number;
}

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { rows: text, rounds: text, json: { type: 'boolean' } } });
  const [rows, rounds] = [positive(values.rows ?? '6001215'), positive(values.rounds ?? '3')];
  requirePsql();
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-command-'));
  await chmod(folder, 0o755);
  // Not durable: the disk is not what is compared, and it would be the noise.
  const server = await startPostgres({ dataDir: join(folder, 'destination'), durable: false });
  try {
    const destination = server.url();
    const files = await csvFiles(destination, rows);
    await using worker = await startWorker(CONNECTIONS, { BENCH_DESTINATION_URL: destination });
    console.log(`An idle worker takes ${worker.idleRssMB.toFixed(0)} MB.`);
    report(await play({ destination, worker, rows }, files, rounds), values.json ?? false);
  } finally {
    await server.stop({ mode: 'immediate' });
    await rm(folder, { recursive: true, force: true });
  }
}

/** By the number of processes: the whole, and its halves. */
type Files = ReadonlyMap<number, readonly string[]>;

async function csvFiles(server: string, rows: number): Promise<Files> {
  const folder = join(tmpdir(), `longhaul-lineitem-${rows}`);
  const [whole, halves] = [join(folder, 'whole.csv'), join(folder, 'half-')];
  await run(server, CREATE);
  if (!existsSync(folder)) {
    console.log(`Making files of ${rows.toLocaleString('en')} rows in ${folder}.`);
    await run(server, FILL, [rows]);
    const making = `${folder}.${process.pid}`;
    await mkdir(making);
    const copy = `\\copy lineitem TO '${join(making, 'whole.csv')}' (FORMAT csv)`;
    shell('psql', '-qXc', copy, server);
    shell('split', '-n', 'l/2', '-a', '1', '-d', join(making, 'whole.csv'), join(making, 'half-'));
    await rename(making, folder);
  }
  return new Map([
    [1, [whole]],
    [2, [`${halves}0`, `${halves}1`]],
  ]);
}

function shell(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`);
}

async function play(stage: Stage, files: Files, count: number): Promise<Round[]> {
  const rounds: Round[] = [];
  for (let round = 0; round < count; round++) {
    for (const processes of PROCESSES) {
      const paths = files.get(processes)!;
      // Who comes first changes: a warm cache or a busy neighbour shall favour nobody.
      const early = round % 2 === 0 ? await emptied(stage, () => copyWithPsql(stage, paths)) : undefined;
      const longhaul = await emptied(stage, () => copyWithLonghaul(stage, paths));
      const psql = early ?? (await emptied(stage, () => copyWithPsql(stage, paths)));
      rounds.push({ processes, psql, longhaul });
      console.log(line(`round ${round + 1}`, rounds.at(-1)!));
    }
  }
  return rounds;
}

async function emptied({ destination, rows }: Stage, contestant: () => Promise<Usage>): Promise<Usage> {
  await run(destination, 'TRUNCATE lineitem');
  await run(destination, 'CHECKPOINT');
  const usage = await contestant();
  const [counted] = await run(destination, 'SELECT count(*)::int8 AS n FROM lineitem');
  if (Number(counted?.n) !== rows) throw new Error(`${String(counted?.n)} of ${rows} rows were copied.`);
  return usage;
}

function copyWithPsql({ destination }: Stage, paths: readonly string[]): Promise<Usage> {
  const commands = paths.map((path) => `psql -qXc "\\copy lineitem FROM '${path}' (FORMAT csv)" "$DESTINATION"`);
  return timePsql(commands, { DESTINATION: destination });
}

function copyWithLonghaul({ worker }: Stage, paths: readonly string[]): Promise<Usage> {
  const queries = paths.map((path, index) => ({ id: String(index + 1), sql: path }));
  const tables = [{ table: 'lineitem', to: 'public.lineitem', columns: LINEITEM, queries }];
  const head = { name: 'command', source: 'files', destination: 'destination', parallelism: paths.length };
  return worker.run({ ...head, tables, allowFewer: true });
}

function report(rounds: readonly Round[], json: boolean): void {
  const ratio = (processes: number, seconds: (usage: Usage) => number) =>
    median(rounds.filter((r) => r.processes === processes).map((r) => seconds(r.longhaul) / r.psql.wallSeconds));
  const wall = (processes: number) => ratio(processes, (usage) => usage.wallSeconds);
  // What psql does too: without checks, ledger, plan, ANALYZE and swap.
  const copying = (processes: number) => ratio(processes, ({ phases }) => phases?.get('copyPartition') ?? NaN);
  const cpu = (who: 'psql' | 'longhaul') => rounds.reduce((sum, round) => sum + round[who].cpuSeconds, 0);
  const result = {
    wallRatio1: wall(1),
    wallRatio2: wall(2),
    copyRatio1: copying(1),
    copyRatio2: copying(2),
    cpuRatio: rounded(cpu('longhaul') / cpu('psql')),
    addedMemoryMB: rounded(Math.max(...rounds.map(({ longhaul }) => longhaul.peakRssMB - longhaul.idleRssMB))),
    programsMB: rounded(Math.max(...rounds.map(({ longhaul }) => longhaul.programsMB ?? 0))),
  };
  console.log(`\nLonghaul ÷ psql, medians of ${rounds.length / PROCESSES.length} rounds:`);
  console.log(`  whole job, 1 process     ${result.wallRatio1}\n  whole job, 2 processes   ${result.wallRatio2}`);
  console.log(`  copying, 1 process       ${result.copyRatio1}\n  copying, 2 processes     ${result.copyRatio2}`);
  console.log(`  CPU of the worker        ${result.cpuRatio}\n  memory added             ${result.addedMemoryMB} MB`);
  console.log(`  programs and reaper      ${result.programsMB} MB`);
  if (json) console.log(JSON.stringify(result));
}

function line(name: string, { processes, psql, longhaul }: Round): string {
  const show = (usage: Usage) => `${usage.wallSeconds.toFixed(2)} s wall, ${usage.cpuSeconds.toFixed(2)} s CPU`;
  const added = (longhaul.peakRssMB - longhaul.idleRssMB).toFixed(0);
  const phases = [...(longhaul.phases ?? [])].map(([type, seconds]) => `${type} ${seconds.toFixed(2)}`).join(', ');
  return `${name}, ${processes} at a time:  psql ${show(psql)}  |  Longhaul ${show(longhaul)}, +${added} MB (${phases})`;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
