/**
 * The floor under Longhaul's speed: `psql COPY TO | psql COPY FROM`, binary, at the same parallelism, into the same empty table
 * without an index, in turns. Longhaul is a worker process that runs a whole job under a Temporal server; its wall time is from the
 * start of the workflow to its end, with checks, plan, ANALYZE and swap. Only ratios within one run mean anything: machines differ, and are shared.
 *
 *   npm run bench:floor -- [--rows 6001215] [--rounds 3] [--ranges 1] [--source URL --destination URL] [--json]
 *
 * `ranges`: partitions of Longhaul for each slot. psql has one range a session.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Verify } from '../src/core/model.js';
import { startPostgres } from '../src/devstack/postgres.js';
import { startLonghaul, type LonghaulContestant } from './longhaul-worker.js';
import { prepare, run } from './lineitem.js';

/** One contestant's one run. Memory is that of the copying process, or 0 where it is not measured. */
export interface Usage {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMB: number;
  readonly idleRssMB: number;
  /** Seconds of each kind of activity, of Longhaul alone. */
  readonly phases?: ReadonlyMap<string, number>;
}

/** What is to be copied at once: one select a session. */
export interface FloorTask {
  readonly source: string;
  readonly destination: string;
  readonly parallelism: number;
  readonly rows: number;
  /** Of Longhaul; as many as the parallelism, when absent. */
  readonly partitions?: number;
  /** Of the job; counts, when absent. */
  readonly verify?: Verify;
}

type Contestant = (task: FloorTask) => Promise<Usage>;

interface Round {
  readonly parallelism: number;
  readonly psql: Usage;
  readonly longhaul: Usage;
}

const PARALLELISM = [1, 4];

async function main(): Promise<void> {
  const options = parseOptions();
  if (spawnSync('psql', ['--version']).error) {
    throw new Error(
      'psql is not installed here (or not on PATH), and it is what Longhaul is compared with: install postgresql-client.',
    );
  }
  await using servers = await openServers(options);
  await prepare(servers.source, servers.destination, options.rows);
  await using longhaul = await startLonghaul(servers.source, servers.destination);
  console.log(`An idle worker takes ${longhaul.idleRssMB.toFixed(0)} MB.`);
  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const parallelism of PARALLELISM) {
      rounds.push(await playRound(servers, longhaul, { ...options, parallelism, round }));
    }
  }
  report(rounds, options.json);
}

function parseOptions() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { rows: text, rounds: text, ranges: text, source: text, destination: text, json: { type: 'boolean' } },
  });
  const { source, destination, json = false } = values;
  if ((source === undefined) !== (destination === undefined)) throw new Error('Give both --source and --destination.');
  return {
    rows: positive(values.rows ?? '6001215'),
    rounds: positive(values.rounds ?? '3'),
    ranges: positive(values.ranges ?? '1'),
    source,
    destination,
    json,
  };
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`"${text}" is not a positive whole number.`);
  return number;
}

interface Servers extends AsyncDisposable {
  readonly source: string;
  readonly destination: string;
}

/** Databases of the two URLs are taken as they are, and their table `lineitem` is replaced. */
async function openServers(options: {
  source?: string | undefined;
  destination?: string | undefined;
}): Promise<Servers> {
  if (options.source !== undefined && options.destination !== undefined) {
    return { source: options.source, destination: options.destination, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-floor-'));
  await chmod(folder, 0o755);
  // Not durable: the disk is not what is compared, and it would be the noise.
  const start = (name: string) => startPostgres({ dataDir: join(folder, name), durable: false });
  const [source, destination] = await Promise.all([start('source'), start('destination')]);
  const dispose = async () => {
    await Promise.all([source.stop({ mode: 'immediate' }), destination.stop({ mode: 'immediate' })]);
    await rm(folder, { recursive: true, force: true });
  };
  return { source: source.url(), destination: destination.url(), [Symbol.asyncDispose]: dispose };
}

async function playRound(
  servers: Servers,
  longhaulWorker: LonghaulContestant,
  { rows, ranges, parallelism, round }: { rows: number; ranges: number; parallelism: number; round: number },
): Promise<Round> {
  const { source, destination } = servers;
  const task = { source, destination, parallelism, rows, partitions: parallelism * ranges };
  const play = (contestant: Contestant) => emptied(task, contestant);
  // Who comes first changes: a warm cache or a busy neighbour shall favour nobody.
  const psqlFirst = round % 2 === 0;
  const early = psqlFirst ? await play(copyWithPsql) : undefined;
  const longhaul = await play((given) => longhaulWorker.copy(given));
  const result = { parallelism, longhaul, psql: early ?? (await play(copyWithPsql)) };
  console.log(line(`round ${round + 1}`, result));
  return result;
}

function selects(rows: number, parallelism: number): string[] {
  const orders = Math.ceil(rows / 4);
  const bound = (index: number) => Math.ceil((orders * index) / parallelism);
  return Array.from({ length: parallelism }, (_, i) =>
    parallelism === 1
      ? 'SELECT * FROM lineitem'
      : `SELECT * FROM lineitem WHERE l_orderkey >= ${bound(i)} AND l_orderkey < ${bound(i + 1)}`,
  );
}

async function emptied(task: FloorTask, contestant: Contestant): Promise<Usage> {
  await run(task.destination, 'TRUNCATE lineitem');
  await run(task.destination, 'CHECKPOINT');
  const usage = await contestant(task);
  const [counted] = await run(task.destination, 'SELECT count(*)::int8 AS n FROM lineitem');
  if (Number(counted?.n) !== task.rows) throw new Error(`${String(counted?.n)} of ${task.rows} rows were copied.`);
  return usage;
}

/** bash's `time` gives the CPU of all psql processes, which nothing in Node does for children. */
async function copyWithPsql({ source, destination, parallelism, rows }: FloorTask): Promise<Usage> {
  const pipes = selects(rows, parallelism).map(
    (select) =>
      `psql -qXc "COPY (${select}) TO STDOUT (FORMAT binary)" "$SOURCE" | psql -qXc "COPY lineitem FROM STDIN (FORMAT binary)" "$DESTINATION" &`,
  );
  const script = `TIMEFORMAT='%R %U %S'; time { ${pipes.join(' ')} wait; }`;
  const env = { ...process.env, LC_ALL: 'C', SOURCE: source, DESTINATION: destination };
  const bash = spawn('bash', ['-c', script], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  bash.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  await once(bash, 'close');
  const times = /^([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(said);
  if (!times) throw new Error(`psql failed: ${said.trim()}`);
  return { wallSeconds: Number(times[1]), cpuSeconds: Number(times[2]) + Number(times[3]), peakRssMB: 0, idleRssMB: 0 };
}

function report(rounds: readonly Round[], json: boolean): void {
  const ratio = (parallelism: number, seconds: (usage: Usage) => number) =>
    median(rounds.filter((r) => r.parallelism === parallelism).map((r) => seconds(r.longhaul) / r.psql.wallSeconds));
  const wall = (parallelism: number) => ratio(parallelism, (usage) => usage.wallSeconds);
  // What psql does too: without checks, ledger, plan, ANALYZE and swap.
  const copying = (parallelism: number) => ratio(parallelism, ({ phases }) => phases?.get('copyPartition') ?? NaN);
  const cpu = (who: 'psql' | 'longhaul') => rounds.reduce((sum, round) => sum + round[who].cpuSeconds, 0);
  const result = {
    wallRatio1: wall(1),
    wallRatio4: wall(4),
    copyRatio1: copying(1),
    copyRatio4: copying(4),
    cpuRatio: rounded(cpu('longhaul') / cpu('psql')),
    addedMemoryMB: rounded(Math.max(...rounds.map(({ longhaul }) => longhaul.peakRssMB - longhaul.idleRssMB))),
  };
  console.log(`\nLonghaul ÷ psql, medians of ${rounds.length / PARALLELISM.length} rounds:`);
  console.log(`  whole job, 1 at a time   ${result.wallRatio1}\n  whole job, 4 at a time   ${result.wallRatio4}`);
  console.log(`  copying, 1 at a time     ${result.copyRatio1}\n  copying, 4 at a time     ${result.copyRatio4}`);
  console.log(`  CPU of the copier        ${result.cpuRatio}\n  memory added             ${result.addedMemoryMB} MB`);
  if (json) console.log(JSON.stringify(result));
}

function line(name: string, { parallelism, psql, longhaul }: Round): string {
  const show = (usage: Usage) => `${usage.wallSeconds.toFixed(2)} s wall, ${usage.cpuSeconds.toFixed(2)} s CPU`;
  const added = (longhaul.peakRssMB - longhaul.idleRssMB).toFixed(0);
  const phases = [...(longhaul.phases ?? [])].map(([type, seconds]) => `${type} ${seconds.toFixed(2)}`).join(', ');
  return `${name}, ${parallelism} at a time:  psql ${show(psql)}  |  Longhaul ${show(longhaul)}, +${added} MB (${phases})`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const last = sorted.length - 1;
  return rounded((sorted[Math.floor(last / 2)]! + sorted[Math.ceil(last / 2)]!) / 2);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
