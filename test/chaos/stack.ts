import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { startPostgres, type PostgresServer } from '../../src/devstack/postgres.js';
import { removePostgresData } from '../../src/devstack/postgres-data.js';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';
import { startTemporalServer, type TemporalServer } from '../../src/devstack/temporal-server.js';
import { notReached, writeFailurePlan, type FailurePlan } from './failure-plan.js';
import { Lakes } from './lakes.js';
import { FaultProxy } from './proxy.js';

export type Side = 'source' | 'destination';

const TASK_QUEUE = 'chaos';

/** Fast on two cores, and honest when the server is stopped with `immediate`: what was answered with COMMIT is in its files. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', shared_buffers: '64MB', max_wal_size: '512MB' };

const quiet = () => undefined;

/** A Postgres server that can be crashed and started again, behind a proxy that all workers go through. */
export class Database {
  #sessions: { readonly url: string; readonly pool: pg.Pool } | undefined;

  private constructor(
    readonly side: Side,
    /** Another one's after a failover. */
    public dataDir: string,
    public server: PostgresServer,
    readonly proxy: FaultProxy,
    readonly settings: Readonly<Record<string, string>>,
  ) {}

  static async start(side: Side, dataDir: string, settings: Record<string, string> = {}): Promise<Database> {
    const all = { ...SETTINGS, ...settings };
    const server = await startPostgres({ dataDir, settings: all, log: quiet });
    const database = new Database(side, dataDir, server, await FaultProxy.start(server.port), all);
    await withClient(database.url('postgres'), (client) => client.query('CREATE DATABASE chaos'));
    return database;
  }

  get logFile(): string {
    return join(this.dataDir, 'postgres.log');
  }

  /** Not through the proxy, as the superuser. */
  url(database = 'chaos'): string {
    return this.server.url(database);
  }

  /** By way of the proxy, as the workers have it. */
  get proxiedUrl(): string {
    const url = new URL(this.url());
    url.port = String(this.proxy.port);
    return url.href;
  }

  /** On a session that stays out of Longhaul's way: what is looked at again and again would otherwise cost more than the jobs do. */
  async query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    const url = this.url();
    if (this.#sessions?.url !== url) {
      this.#closeSessions();
      const pool = new pg.Pool({ connectionString: url, max: 4 });
      pool.on('error', quiet);
      this.#sessions = { url, pool };
    }
    return (await this.#sessions.pool.query<Row>(sql, values)).rows;
  }

  #closeSessions(): void {
    this.#sessions?.pool.end().catch(quiet);
    this.#sessions = undefined;
  }

  /** As after a crash of its machine's power, but for what the kernel has: no session ends in order. */
  async crash(): Promise<void> {
    await this.server.stop({ mode: 'immediate' });
  }

  /** On the same data, wherever it listens now. */
  async startAgain(): Promise<void> {
    this.server = await startPostgres({ dataDir: this.dataDir, settings: this.settings, log: quiet });
    this.proxy.lead(this.server.port);
  }

  async stop(): Promise<void> {
    this.#closeSessions();
    await this.proxy.stop();
    await this.server.stop({ mode: 'immediate' });
    await removePostgresData(this.dataDir);
  }
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', quiet);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** One worker process, with a line of its own to Temporal. */
export class WorkerProcess {
  #frozen = false;

  constructor(
    private readonly supervised: Supervised,
    readonly line: FaultProxy,
  ) {}

  get pid(): number {
    return this.supervised.pid;
  }

  get alive(): boolean {
    return this.supervised.exit() === undefined;
  }

  /** As the worker calls itself in Temporal's histories. */
  isIdentity(identity: string): boolean {
    return identity.startsWith(`longhaul ${this.pid}@`);
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.alive) process.kill(this.pid, signal);
  }

  /** It does nothing any more, and knows nothing of that. `cutOff`: Temporal has lost its connection, and gives it no more work. */
  freeze(cutOff = false): void {
    this.#frozen = true;
    this.signal('SIGSTOP');
    if (cutOff) closeLine(this.line);
  }

  thaw(): void {
    this.line.closed = false;
    this.#frozen = false;
    this.signal('SIGCONT');
  }

  /** Resolves when the process has ended. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.signal(signal);
    await this.supervised.exited;
  }

  /** Answers whether it has not ended when it was asked to, and was killed. */
  async stop(): Promise<boolean> {
    const { alive } = this;
    this.thaw();
    const { signal } = await this.supervised.stop();
    await this.line.stop();
    return alive && signal === 'SIGKILL';
  }
}

/** Connections through it are gone, and refused, until `closed` is taken back. */
export function closeLine(line: FaultProxy): void {
  line.closed = true;
  for (const link of line.links) link.cut('reset');
}

export interface StackOptions {
  /** Emptied first. */
  readonly dir: string;
  readonly workers?: number;
  /** More environment of the worker processes. */
  readonly env?: NodeJS.ProcessEnv;
  /** More arguments of node, before the script. */
  readonly nodeArgs?: readonly string[];
  /** Jobs may go to lakes too: see `lakes.ts`. */
  readonly lakes?: boolean;
}

/** Two Postgres servers behind proxies, lakes, a Temporal server, and worker processes: all real, all on loopback, all its own. */
export class Stack {
  readonly workers: WorkerProcess[] = [];
  /** Of workflows that are started from now on, and of workers whose environment names no other. */
  taskQueue = TASK_QUEUE;
  #jobs = 0;
  #plans = 0;

  private constructor(
    private readonly options: StackOptions,
    readonly source: Database,
    readonly destination: Database,
    public temporal: TemporalServer,
    readonly client: Client,
    /** Absent: its jobs go to Postgres alone. */
    readonly lakes: Lakes | undefined,
  ) {}

  static async start(options: StackOptions): Promise<Stack> {
    const { dir } = options;
    for (const side of ['source', 'destination']) await removePostgresData(join(dir, side));
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
    const [source, destination, temporal, lakes] = await Promise.all([
      Database.start('source', join(dir, 'source'), { max_connections: '120' }),
      Database.start('destination', join(dir, 'destination'), {
        max_connections: '120',
      }),
      startTemporalServer({ dbFile: join(dir, 'temporal.db'), headless: true, log: quiet }),
      options.lakes === true ? Lakes.start(join(dir, 'lakes')) : undefined,
    ]);
    const client = new Client({ connection: await Connection.connect({ address: temporal.address }) });
    const stack = new Stack(options, source, destination, temporal, client, lakes);
    await writeFile(stack.config, configWith(lakes?.connections ?? ''));
    await stack.restore();
    return stack;
  }

  get config(): string {
    return join(this.options.dir, 'longhaul.yaml');
  }

  /** Of all worker processes. */
  get workerLog(): string {
    return join(this.options.dir, 'worker.log');
  }

  /** What a process needs beside the configuration file. */
  get env(): NodeJS.ProcessEnv {
    return {
      CHAOS_TASK_QUEUE: this.taskQueue,
      ...process.env,
      ...this.options.env,
      TEMPORAL_ADDRESS: this.temporal.address,
      CHAOS_SOURCE_URL: this.source.proxiedUrl,
      CHAOS_DESTINATION_URL: this.destination.proxiedUrl,
    };
  }

  database(side: Side): Database {
    return this[side];
  }

  /** A number that no job of this stack had before. */
  nextJob(): number {
    return ++this.#jobs;
  }

  /** Workers that have not ended. */
  get alive(): WorkerProcess[] {
    return this.workers.filter(({ alive }) => alive);
  }

  /** As many workers as in the beginning, none of them frozen or cut off. */
  async restore(): Promise<void> {
    const wanted = this.options.workers ?? 2;
    for (const worker of this.alive) worker.thaw();
    for (const surplus of this.alive.slice(0, Math.max(0, this.alive.length - wanted))) await surplus.stop();
    while (this.alive.length < wanted) await this.startWorker();
  }

  async startWorker(env: NodeJS.ProcessEnv = {}): Promise<WorkerProcess> {
    const script = fileURLToPath(new URL(DIST_WORKER, import.meta.url));
    const args = [...(this.options.nodeArgs ?? []), script, this.config];
    const line = await FaultProxy.start(Number(this.temporal.address.split(':')[1]));
    const supervised = await spawnSupervised(process.execPath, args, {
      logFile: this.workerLog,
      cwd: this.options.dir,
      env: { ...this.env, TEMPORAL_ADDRESS: `127.0.0.1:${line.port}`, ...env },
      stopSignal: 'SIGTERM',
      graceMs: 15_000,
    });
    const worker = new WorkerProcess(supervised, line);
    this.workers.push(worker);
    return worker;
  }

  /** One that stops by plan, as soon as all these workflows have come to their points: it kills itself, or is frozen. */
  async startFailing(
    workflows: FailurePlan['workflows'],
    freeze = false,
  ): Promise<{ readonly worker: WorkerProcess; readonly reached: () => boolean }> {
    const file = join(this.options.dir, `plan-${++this.#plans}.json`);
    const plan = { workflows, freeze, told: `${file}.told` };
    writeFailurePlan(file, plan);
    const worker = await this.startWorker({ LONGHAUL_TEST_FAILURES: file });
    return { worker, reached: () => notReached(plan).length === 0 };
  }

  /** Runs a workflow to its end, as the CLI would. */
  run(workflow: string, input: object): Promise<unknown> {
    const workflowId = `${workflow}-${this.nextJob()}`;
    return this.client.workflow.execute(workflow, { taskQueue: this.taskQueue, workflowId, args: [input] });
  }

  /** At the same address and on the same database file. */
  async startTemporalAgain(): Promise<void> {
    const [, port] = this.temporal.address.split(':');
    this.temporal = await startTemporalServer({
      dbFile: join(this.options.dir, 'temporal.db'),
      port: Number(port),
      headless: true,
      log: quiet,
    });
  }

  async killTemporal(): Promise<void> {
    process.kill(this.temporal.pid, 'SIGKILL');
    await this.temporal.exited;
  }

  /** Of a server that was killed: the next one knows no workflow. */
  async deleteTemporal(): Promise<void> {
    const file = join(this.options.dir, 'temporal.db');
    for (const part of ['', '-wal', '-shm', '-journal']) await rm(`${file}${part}`, { force: true });
  }

  /** Answers with the pids of worker processes that did not end by themselves. */
  async stop(): Promise<number[]> {
    const killed = await Promise.all(this.workers.map((worker) => worker.stop()));
    const left = this.workers.filter((_, index) => killed[index]).map(({ pid }) => pid);
    await this.client.connection.close();
    await Promise.all([this.temporal.stop(), this.source.stop(), this.destination.stop(), this.lakes?.stop()]);
    await rm(this.options.dir, { recursive: true, force: true });
    return left;
  }
}

/** From this file, compiled (dist/test/chaos) or not (test/chaos): the worker is always the compiled one. */
const DIST_WORKER = import.meta.url.includes('/dist/test/') ? './worker.js' : '../../dist/test/chaos/worker.js';

/** A worker has room for many attempts, since those that stand at a point by plan keep theirs. */
const configWith = (more: string) => `connections:
  source: {type: postgres, url: "\${CHAOS_SOURCE_URL}"}
  destination: {type: postgres, url: "\${CHAOS_DESTINATION_URL}"}
${more}worker: {taskQueue: "\${CHAOS_TASK_QUEUE}", maxConcurrentPartitions: 64, shutdownGrace: 5s, logLevel: debug}
`;
