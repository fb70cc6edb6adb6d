/**
 * The floor under Longhaul's speed: `psql COPY TO | psql COPY FROM`, binary, at the same parallelism, into the same empty table
 * without an index, in turns. Longhaul is a worker process that runs a whole job under a Temporal server; its wall time is from the
 * start of the workflow to its end, with checks, plan, ANALYZE and swap. Only ratios within one run mean anything: machines differ, and are shared.
 *
 *   npm run bench:floor -- [--rows 6001215] [--rounds 3] [--ranges 1] [--source URL --destination URL] [--json]
 *
 * `ranges`: partitions of Longhaul for each slot. psql has one range a session.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Verify } from '../src/core/model.js';
import { startPostgres } from '../src/devstack/postgres.js';
import { prepare, run } from './lineitem.js';
import { startLonghaul, type LonghaulContestant, type Usage } from './longhaul-worker.js';
import { median, positive, rounded } from './numbers.js';
import { requirePsql, timePsql } from './psql.js';

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
  requirePsql();
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

function copyWithPsql({ source, destination, parallelism, rows }: FloorTask): Promise<Usage> {
  const pipes = selects(rows, parallelism).map(
    (select) =>
      `psql -qXc "COPY (${select}) TO STDOUT (FORMAT binary)" "$SOURCE" | psql -qXc "COPY lineitem FROM STDIN (FORMAT binary)" "$DESTINATION"`,
  );
  return timePsql(pipes, { SOURCE: source, DESTINATION: destination });
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

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
