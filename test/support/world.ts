import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { expect } from 'vitest';
import type { ListedRun } from '../../src/cli/commands/ls.js';
import type { JobProgress } from '../../workflows/messages.js';
import { runSql, startTestPostgres, type TestPostgres } from './postgres.js';
import { startTestTemporal, type TestTemporal } from './temporal.js';
import { testWorkers, type TestWorkers } from './worker.js';

export const ROWS = 4_000;
/** While `gate` is shut, the third query fails: a job stops there, with the other three committed. */
const SOURCE = `
  CREATE TABLE items (id int PRIMARY KEY, note text);
  INSERT INTO items SELECT n, 'note ' || n FROM generate_series(0, ${ROWS - 1}) n;
  CREATE TABLE gate (open int);
  INSERT INTO gate VALUES (0);
  ANALYZE;`;
export const QUERIES = ['a', 'b', 'c', 'd'].map((id, n) => ({
  id,
  sql: `SELECT id, note FROM public.items WHERE id % 4 = ${n}${n === 2 ? ' AND 1 / (SELECT open FROM public.gate) = 1' : ''}`,
}));

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Two databases, workers on them, and the program beside them; made by `Worlds`. */
export class World implements AsyncDisposable {
  constructor(
    private readonly unique: (prefix: string) => string,
    private readonly folder: string,
    readonly sourceUrl: string,
    readonly destinationUrl: string,
    readonly workers: TestWorkers,
    readonly client: Client,
  ) {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workers.stop();
    await this.client.connection.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  longhaul(...args: string[]): Promise<Ran> {
    const { env, config } = this.workers;
    const child = spawn(process.execPath, [resolve('bin/longhaul.js'), ...args, '--config', config], { env });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text));
    return new Promise((done) => child.on('close', (code) => done({ code, ...said })));
  }

  async jobFile(job: object = {}): Promise<{ file: string; name: string }> {
    const name = this.unique('job');
    const file = join(this.folder, `${name}.json`);
    const table = { table: 'items', to: 'public.items', queries: QUERIES };
    const base = { name, source: 'shop', destination: 'warehouse', retry: { initialInterval: '1s' }, tables: [table] };
    await writeFile(file, JSON.stringify({ ...base, ...job }));
    return { file, name };
  }

  /** Starts a job that waits for its third partition; answers with its run. */
  async stuck(job: object = {}): Promise<{ file: string; name: string; run: string }> {
    const { file, name } = await this.jobFile(job);
    const { code, err } = await this.longhaul('run', file);
    expect(code, err).toBe(3);
    return { file, name, run: (await this.progress(name)).run };
  }

  progress(name: string): Promise<JobProgress> {
    return this.client.workflow.getHandle(name).query<JobProgress>('progress');
  }

  openGate(): Promise<unknown> {
    return runSql(this.sourceUrl, 'UPDATE gate SET open = 1');
  }

  /** Receipts by partition: when and by which transaction each was written. */
  receipts(run: string) {
    return runSql<{ partition: number; rows: string; xmin: string }>(
      this.destinationUrl,
      'SELECT partition, rows, xmin::text FROM longhaul.receipts WHERE run = $1 ORDER BY 1',
      [run],
    );
  }

  async copied(): Promise<{ rows: number; ids: number }> {
    const sql = 'SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids FROM items';
    return (await runSql<{ rows: number; ids: number }>(this.destinationUrl, sql))[0]!;
  }

  async staging(): Promise<string[]> {
    const sql = `SELECT relname FROM pg_class WHERE relname ~ '^_longhaul_[0-9a-f]{24}$'`;
    return (await runSql<{ relname: string }>(this.destinationUrl, sql)).map(({ relname }) => relname);
  }

  async ls(...args: string[]): Promise<ListedRun[]> {
    const { out, err, code } = await this.longhaul('ls', ...args, '--destination', 'warehouse', '--json');
    expect(code, err).toBe(0);
    return JSON.parse(out) as ListedRun[];
  }
}

export interface WorldOptions {
  /** Of Temporal; default: the test run's. */
  readonly address?: string;
  /** Absent: databases are made. Else those of an earlier world of this name are gone on with. */
  readonly again?: boolean;
  /** Of the connection `warehouse`. */
  readonly ledgerSchema?: string;
}

/** The servers of one test file. Call `stop` in `afterAll`. */
export class Worlds {
  private constructor(
    private readonly source: TestPostgres,
    private readonly destination: TestPostgres,
    private readonly temporal: TestTemporal,
  ) {}

  static async start(): Promise<Worlds> {
    return new Worlds(
      await startTestPostgres('source'),
      await startTestPostgres('destination'),
      await startTestTemporal(),
    );
  }

  async stop(): Promise<void> {
    await this.temporal.stop();
    await this.source.stop();
    await this.destination.stop();
  }

  async make(name: string, options: WorldOptions = {}): Promise<World> {
    const { address = this.temporal.address, again = false, ledgerSchema } = options;
    const database = (server: TestPostgres, side: string) =>
      again ? Promise.resolve(server.url(`${name}_${side}`)) : server.createDatabase(`${name}_${side}`);
    const sourceUrl = await database(this.source, 'shop');
    const destinationUrl = await database(this.destination, 'dw');
    if (!again) await runSql(sourceUrl, SOURCE);
    const workers = await testWorkers({
      ...{ temporal: address, taskQueue: this.temporal.unique('queue'), sourceUrl, destinationUrl },
      ...(ledgerSchema !== undefined && { ledgerSchema }),
    });
    await workers.start();
    const folder = await mkdtemp(join(tmpdir(), 'longhaul-world-'));
    const client = new Client({ connection: await Connection.connect({ address }) });
    return new World(this.temporal.unique, folder, sourceUrl, destinationUrl, workers, client);
  }
}
