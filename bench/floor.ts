/**
 * The floor under Longhaul's speed: `psql COPY TO | psql COPY FROM`, binary, at the same parallelism, into the same empty table
 * without an index, in turns. Only ratios within one run mean anything: machines differ, and are shared.
 *
 *   npm run bench:floor -- [--rows 6001215] [--rounds 3] [--source URL --destination URL] [--json]
 */
import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../src/devstack/postgres.js';

/** One contestant's one run. Memory is that of the copying process, or 0 where it is not measured. */
export interface Usage {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakRssMB: number;
  readonly idleRssMB: number;
}

/** What is to be copied at once: one select a session. */
export interface FloorTask {
  readonly source: string;
  readonly destination: string;
  readonly selects: readonly string[];
}

type Contestant = (task: FloorTask) => Promise<Usage>;

interface Round {
  readonly parallelism: number;
  readonly psql: Usage;
  readonly longhaul: Usage;
}

const PARALLELISM = [1, 4];

/** TPC-H's lineitem, by its columns; 4 lines an order, in the order of the key. */
const COLUMNS = `l_orderkey bigint, l_partkey int, l_suppkey int, l_linenumber int, l_quantity numeric(15,2),
  l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag char(1), l_linestatus char(1),
  l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct char(25), l_shipmode char(10), l_comment varchar(44)`;

const FILL = `INSERT INTO lineitem SELECT g / 4, g * 7919 % 200000, g * 104729 % 10000, g % 4 + 1, g % 50 + 1,
  (g * 31 % 10000000) / 100.0, g % 11 / 100.0, g % 9 / 100.0, substr('RAN', (g % 3 + 1)::int, 1),
  substr('OF', (g % 2 + 1)::int, 1), date '1992-01-02' + (g % 2526)::int, date '1992-01-31' + (g % 2466)::int,
  date '1992-01-03' + (g % 2554)::int,
  (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[g % 4 + 1],
  (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB'])[g % 7 + 1],
  substr(md5(g::text), 1, (10 + g % 22)::int) FROM generate_series(0, $1::bigint - 1) g`;

async function main(): Promise<void> {
  const options = parseOptions();
  if (spawnSync('psql', ['--version']).error) {
    throw new Error(
      'psql is not installed here (or not on PATH), and it is what Longhaul is compared with: install postgresql-client.',
    );
  }
  await using servers = await openServers(options);
  await prepare(servers.source, servers.destination, options.rows);
  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const parallelism of PARALLELISM) rounds.push(await playRound(servers, options.rows, parallelism, round));
  }
  report(rounds, options.json);
}

function parseOptions() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: { rows: text, rounds: text, source: text, destination: text, json: { type: 'boolean' } },
  });
  const { source, destination, json = false } = values;
  if ((source === undefined) !== (destination === undefined)) throw new Error('Give both --source and --destination.');
  return {
    rows: positive(values.rows ?? '6001215'),
    rounds: positive(values.rounds ?? '3'),
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

async function prepare(source: string, destination: string, rows: number): Promise<void> {
  const create = `DROP TABLE IF EXISTS lineitem; CREATE TABLE lineitem (${COLUMNS})`;
  await Promise.all([run(source, create), run(destination, create)]);
  console.log(`Making lineitem with ${rows.toLocaleString('en')} rows.`);
  await run(source, FILL, [rows]);
  await run(source, 'CREATE INDEX ON lineitem (l_orderkey)');
  await run(source, 'VACUUM ANALYZE lineitem');
  const [size] = await run(source, "SELECT pg_size_pretty(pg_relation_size('lineitem')) AS size");
  console.log(`It has ${String(size?.size)}. Each contestant copies it into an empty table, binary, by turns.\n`);
}

async function run(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(values.length > 0 ? { text: sql, values } : sql)).rows;
  } finally {
    await client.end();
  }
}

async function playRound(servers: Servers, rows: number, parallelism: number, round: number): Promise<Round> {
  const task = { source: servers.source, destination: servers.destination, selects: selects(rows, parallelism) };
  const play = (contestant: Contestant) => emptied(task, rows, contestant);
  // Who comes first changes: a warm cache or a busy neighbour shall favour nobody.
  const psqlFirst = round % 2 === 0;
  const early = psqlFirst ? await play(copyWithPsql) : undefined;
  const longhaul = await play(copyWithLonghaul);
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

async function emptied(task: FloorTask, rows: number, contestant: Contestant): Promise<Usage> {
  await run(task.destination, 'TRUNCATE lineitem');
  await run(task.destination, 'CHECKPOINT');
  const usage = await contestant(task);
  const [counted] = await run(task.destination, 'SELECT count(*)::int8 AS n FROM lineitem');
  if (Number(counted?.n) !== rows) throw new Error(`${contestant.name} copied ${String(counted?.n)} of ${rows} rows.`);
  return usage;
}

/** bash's `time` gives the CPU of all psql processes, which nothing in Node does for children. */
async function copyWithPsql({ source, destination, selects }: FloorTask): Promise<Usage> {
  const pipes = selects.map(
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

async function copyWithLonghaul(task: FloorTask): Promise<Usage> {
  const child = fork(new URL('./floor-child.js', import.meta.url));
  await once(child, 'message');
  child.send(task);
  const answer = await Promise.race([once(child, 'message'), once(child, 'exit')]);
  if (typeof answer[0] !== 'object') throw new Error('The copying process failed.');
  return answer[0] as Usage;
}

function report(rounds: readonly Round[], json: boolean): void {
  const wall = (parallelism: number) =>
    median(rounds.filter((r) => r.parallelism === parallelism).map((r) => r.longhaul.wallSeconds / r.psql.wallSeconds));
  const cpu = (who: 'psql' | 'longhaul') => rounds.reduce((sum, round) => sum + round[who].cpuSeconds, 0);
  const result = {
    wallRatio1: wall(1),
    wallRatio4: wall(4),
    cpuRatio: rounded(cpu('longhaul') / cpu('psql')),
    addedMemoryMB: rounded(Math.max(...rounds.map(({ longhaul }) => longhaul.peakRssMB - longhaul.idleRssMB))),
  };
  console.log(`\nLonghaul ÷ psql, medians of ${rounds.length / PARALLELISM.length} rounds:`);
  console.log(`  wall, 1 at a time   ${result.wallRatio1}\n  wall, 4 at a time   ${result.wallRatio4}`);
  console.log(`  CPU of the copier   ${result.cpuRatio}\n  memory added        ${result.addedMemoryMB} MB`);
  if (json) console.log(JSON.stringify(result));
}

function line(name: string, { parallelism, psql, longhaul }: Round): string {
  const show = (usage: Usage) => `${usage.wallSeconds.toFixed(2)} s wall, ${usage.cpuSeconds.toFixed(2)} s CPU`;
  const added = (longhaul.peakRssMB - longhaul.idleRssMB).toFixed(0);
  return `${name}, ${parallelism} at a time:  psql ${show(psql)}  |  Longhaul ${show(longhaul)}, +${added} MB`;
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
