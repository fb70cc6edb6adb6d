import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { JobProgress, JobReport } from '../../workflows/messages.js';
import { check } from './check.js';
import type { Lake } from './lakes.js';
import type { Verdict } from './look.js';
import { LogTail } from './log.js';
import type { Random } from './random.js';
import { Readers } from './readers.js';
import { recoveryOf, type Death } from './recovery.js';
import { createTables, OLD_ROWS } from './tables.js';
import type { Stack } from './stack.js';
import { LakeTarget } from './targets/lake.js';
import { PostgresTarget } from './targets/postgres.js';
import type { Target } from './targets/target.js';
import { SourceWriter } from './writer.js';

/** What a job of the harness is like. Kinds of fault narrow what chance would choose. */
export interface Shape {
  /** Where its rows go; a lake keeps out of it what lakes don't offer. */
  readonly destination: 'postgres' | Lake;
  /** The targets hold something before the job. */
  readonly filled: boolean;
  readonly mode: 'replace' | 'append';
  /** `partition`: rows are visible as soon as they are committed; with `append` only. */
  readonly publish: 'table' | 'partition';
  readonly consistency: 'per-partition' | 'snapshot';
  readonly onSnapshotLost: 'restart' | 'fail';
  readonly verify: 'counts' | 'checksum';
  readonly tables: number;
  /** Of each table, and of how many partitions. */
  readonly rows: number;
  readonly partitions: number;
  /** Rows are so many times 64 bytes wider than usual. */
  readonly wide?: number;
  /** The sources are partitioned, each into two leaves of half the ids and one for what comes behind. */
  readonly leaves?: boolean;
  readonly parallelism: number;
  /** The source is written to while the job runs. */
  readonly writes: boolean;
  /** The targets have a primary key, which refuses rows that come twice; without one they are there to be counted. */
  readonly keyed: boolean;
  /** Seconds that the source takes to send one table to one session. */
  readonly seconds: number;
  /** Of the kinds that strike more than once: so many times as often, on jobs that are as much longer. */
  readonly strikes: number;
}

/** What is not offered of a lake. */
const IN_LAKES = { publish: 'table', verify: 'counts', keyed: false } as const;

export function randomShape(random: Random, given: Partial<Shape> = {}, strikes = 1): Shape {
  const inLake = given.destination !== undefined && given.destination !== 'postgres';
  const wanted = inLake ? { ...given, ...IN_LAKES } : given;
  const writes = random.chance(0.3);
  const mode = random.pick(['replace', 'replace', 'append'] as const);
  const shape: Shape = {
    destination: 'postgres',
    filled: true,
    mode,
    publish: 'table',
    consistency: writes && random.chance(0.6) ? 'snapshot' : 'per-partition',
    onSnapshotLost: 'restart',
    verify: random.pick(['counts', 'counts', 'checksum']),
    tables: random.int(1, 2),
    rows: random.int(2_000, 8_000),
    partitions: random.int(4, 10),
    parallelism: random.int(2, 4),
    writes,
    seconds: random.int(2, 4),
    strikes,
    keyed: random.chance(0.5),
    ...wanted,
  };
  const longer = { ...shape, partitions: shape.partitions * strikes, seconds: shape.seconds * strikes };
  const mayShow = shape.mode === 'append' && shape.consistency === 'per-partition' && wanted.publish === undefined;
  return mayShow && random.chance(0.4) ? { ...longer, publish: 'partition' } : longer;
}

/** Where a job's end may be another than that its targets equal its sources. */
export interface Expected {
  /** It may fail with such words: what is not published is then as it was before, and a clean leaves nothing. */
  readonly fails?: RegExp;
  /** It may not end well. */
  readonly mustFail?: boolean;
  /** The source's relation with the rows that the target has to have, where they are not in the table any more. */
  readonly rows?: (table: string) => string;
  /** Of these tables rows may be missing, that went before they were read, or came after: so many have to be there. */
  readonly atLeast?: ReadonlyMap<string, number>;
  /** So many jobs append the same rows, each in a step of its own. Default 1. */
  readonly copies?: number;
  /** The last run was forgotten by a clean, and its plan and receipts with it. */
  readonly forgotten?: boolean;
  /** Rows of generation 0 that another writer has added meanwhile. */
  readonly foreign?: number;
}

/** Milliseconds within which a job has to end once nothing strikes it any more. */
const END_WITHIN = 240_000;

/** One job on a stack: its tables, what is done to it, and what has become of it. */
export class Scene implements AsyncDisposable {
  readonly name: string;
  readonly schema: string;
  /** Faults that were shown to have struck what they were aimed at. */
  faults = 0;
  /** Workers that were killed while they copied. A kind that strikes in no other way has it looked at what was repeated. */
  readonly deaths: Death[] = [];
  /** Milliseconds from a worker's death to the next beginning of each partition that it had: see `recovery.ts`. */
  readonly recoveries: number[] = [];
  /** Told by the kind. */
  expected: Expected = {};
  /** Partitions that a person has skipped, as `table/17`: their rows, and no others, have to be missing. */
  readonly skips = new Set<string>();
  /** Runs that were given up for good: nothing of them may be left but what they had published. */
  readonly discarded = new Set<string>();
  /** Its kind has done all it does, or its time is up: whatever of it goes on comes to an end where it next waits or strikes. */
  over = false;
  readonly target: Target;
  #handle: WorkflowHandle | undefined;
  readonly #readers: Readers;
  readonly #writer: SourceWriter | undefined;
  readonly #runs: string[] = [];

  private constructor(
    readonly stack: Stack,
    readonly random: Random,
    readonly shape: Shape,
    private readonly workerLog: LogTail,
  ) {
    const number = stack.nextJob();
    this.name = `chaos-${number}`;
    this.schema = `c${number}`;
    const { destination } = shape;
    this.target = destination === 'postgres' ? new PostgresTarget(this) : new LakeTarget(this, destination);
    this.#readers = new Readers(this);
    this.#writer = shape.writes ? new SourceWriter(this) : undefined;
  }

  /** Makes the tables; begins to read the targets and, where the shape says so, to write to the sources. */
  static async begin(stack: Stack, random: Random, shape: Shape): Promise<Scene> {
    const scene = new Scene(stack, random, shape, await LogTail.begin(stack.workerLog));
    await createTables(scene);
    const bytes = shape.rows * (BYTES_A_ROW + (shape.wide ?? 0) * BYTES_A_HASH);
    stack.source.proxy.pace = bytes / shape.seconds;
    await scene.#readers.start();
    await scene.#writer?.start();
    return scene;
  }

  /** Names of the tables, the same in source and destination. */
  get tables(): readonly string[] {
    return Array.from({ length: this.shape.tables }, (_, n) => `${this.schema}.t${n + 1}`);
  }

  /** Rows that each target has before the job. */
  get before(): number {
    return this.shape.filled ? OLD_ROWS : 0;
  }

  get writer(): SourceWriter | undefined {
    return this.#writer;
  }

  get readers(): Readers {
    return this.#readers;
  }

  /** The last started job. */
  get handle(): WorkflowHandle {
    if (this.#handle === undefined) throw new Error('the scene has started no job');
    return this.#handle;
  }

  /** Run of the last started job, that started itself as a new one or resumed another. */
  get run(): string {
    return this.#runs.at(-1)!;
  }

  /** All runs that the scene has started, in the ledger until it is cleaned. */
  get runs(): readonly string[] {
    return this.#runs;
  }

  job(more: object = {}): object {
    const { mode, publish, consistency, onSnapshotLost, verify, parallelism, partitions } = this.shape;
    return {
      name: this.name,
      source: 'source',
      destination: this.target.connection,
      parallelism,
      mode,
      consistency,
      ...(consistency === 'snapshot' && { onSnapshotLost }),
      retry: RETRY,
      defaults: { verify, publish, partition: { by: 'id', count: partitions } },
      tables: this.tables,
      ...more,
    };
  }

  /** Throws once the scene is over. */
  mustGoOn(): void {
    if (this.over) throw new Error('the time of this fault is over');
  }

  /** Starts the job as a person does. `more`: keys of the job file beside or instead of the usual. */
  async start(more: { resume?: string } & object = {}, workflowId = this.name): Promise<WorkflowHandle> {
    this.mustGoOn();
    const args = [this.job(more)];
    const { client, taskQueue } = this.stack;
    const handle = await client.workflow.start('copyJob', { taskQueue, workflowId, args });
    this.#runs.push(more.resume ?? handle.firstExecutionRunId);
    this.adopt(client.workflow.getHandle(workflowId));
    return handle;
  }

  /** The job goes on under another handle: after a reset, or when somebody else has started it. `run` when it is a new one. */
  adopt(handle: WorkflowHandle, run?: string): void {
    this.#handle = handle;
    if (run !== undefined) this.#runs.push(run);
  }

  /** Counts a fault that has struck. */
  struck(count = 1): void {
    this.mustGoOn();
    this.faults += count;
  }

  progress(): Promise<JobProgress> {
    return this.handle.query<JobProgress>('progress');
  }

  /** Receipts of the run, by the ledger. 0 while there is no ledger. */
  committed(): Promise<number> {
    return this.target.committed(this.run);
  }

  /** Lines of the workers' logs that are about this scene's tables, and fit. */
  logged(pattern: RegExp): Promise<number> {
    return this.workerLog.count(new RegExp(`^(?=.*"${this.schema}\\.t\\d+")(?=.*(?:${pattern.source}))`));
  }

  get planned(): number {
    return this.shape.partitions * this.shape.tables;
  }

  /** Awaits a condition, looked at every 50 ms. False: the job ended, or it took longer than `within` milliseconds. */
  async until(condition: () => boolean | Promise<boolean>, within = 60_000): Promise<boolean> {
    const deadline = Date.now() + within;
    for (let look = 0; Date.now() < deadline; look++) {
      this.mustGoOn();
      if (await condition()) return true;
      if (look % 10 === 9 && (await this.hasEnded())) return false;
      await sleep(50);
    }
    return false;
  }

  async hasEnded(): Promise<boolean> {
    if (this.#handle === undefined) return false;
    const described = await this.#handle.describe().catch(() => undefined);
    return described !== undefined && described.status.name !== 'RUNNING';
  }

  /** Rows are on their way, and at least this part of the partitions is committed. */
  untilCopying(part = 0, within?: number): Promise<boolean> {
    const least = Math.floor(part * this.planned);
    return this.until(
      async () => this.target.copying.length > 0 && (least === 0 || (await this.committed()) >= least),
      within,
    );
  }

  /** How often to strike: from `least` to `most` times, and more in a run that is to have many faults. */
  times(least: number, most: number): number {
    this.mustGoOn();
    return this.random.int(least, most) * this.shape.strikes;
  }

  /** A moment of the copy, chosen by chance. */
  async moment(longest = 1_500): Promise<void> {
    await sleep(this.random.int(0, longest));
    this.mustGoOn();
  }

  /** Awaits the end of the job and looks at what it has left. Never throws for what a fault has done. */
  async finish(within = END_WITHIN): Promise<Verdict> {
    this.stack.source.proxy.pace = undefined;
    const ended = await Promise.race([
      this.handle.result().then(
        (report: JobReport) => ({ report }),
        (error: unknown) => ({ error }),
      ),
      sleep(within, { timeout: true } as const, { ref: false }),
    ]);
    await this.#writer?.stop();
    await this.#readers.stop();
    const verdict = await check(this, ended);
    const { recoveries, problems } = await recoveryOf(this);
    this.recoveries.push(...recoveries);
    return { ...verdict, problems: [...verdict.problems, ...problems] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer?.stop();
    await this.#readers.stop();
    await this.target.remove().catch(() => undefined);
    const { source, destination } = this.stack;
    for (const side of [source, destination]) {
      await side.query(`DROP SCHEMA IF EXISTS ${this.schema} CASCADE`).catch(() => undefined);
    }
  }
}

const BYTES_A_ROW = 120;
const BYTES_A_HASH = 64;

/** Crashes are noticed at once, and nothing that a fault does uses up the attempts of a partition. */
export const RETRY = {
  maximumAttempts: 30,
  initialInterval: '200ms',
  backoffCoefficient: 1.5,
  maximumInterval: '2s',
  maximumCrashes: 50,
  heartbeatTimeout: '5s',
  stallTimeout: '4s',
  firstByteTimeout: '10s',
};
